"""A Python program from a cold start: how long it takes to its end, and what memory it holds at the most."""

import os
import subprocess
import sys
from collections.abc import Sequence

from embedrt_bench.engines.process import TAIL, thread_environment

from embedrt.errors import EmbedrtError

__all__ = ["cold_run"]

_LAUNCHER = """
import os, resource, subprocess, sys, time
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv[1])])
began = time.perf_counter()
code = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL).returncode
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
"""A small process to start it from: the kernel counts the pages of the one that forks into the peak of the one that runs.
It hands on no more processors than the budget, as ``worker.py`` takes no more."""


def cold_run(arguments: Sequence[str], *, threads: int) -> tuple[float, float]:
    """Seconds of this Python with ``arguments`` on ``threads`` processors, and the megabytes that it held at the most.

    Raises:
        EmbedrtError: it failed, with what it wrote to stderr.
    """
    done = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, str(threads), sys.executable, *arguments],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, **thread_environment(threads)},
    )
    if done.returncode:
        name = " ".join(arguments[:3])
        raise EmbedrtError(f"{name} ended with status {done.returncode}: {done.stderr[-TAIL:].strip()}")
    seconds, kilobytes = done.stdout.split()
    return float(seconds), int(kilobytes) * 1024 / 1e6
