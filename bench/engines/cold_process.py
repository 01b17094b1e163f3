"""A Python program from a cold start: how long it takes to its end, and what memory it holds at the most."""

import os
import subprocess
import sys
from collections.abc import Sequence

from embedrt_bench.engines.process import thread_environment

__all__ = ["cold_run"]

_LAUNCHER = """
import resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
"""A small process to start it from: the kernel counts the pages of the one that forks into the peak of the one that runs."""


def cold_run(arguments: Sequence[str], *, threads: int) -> tuple[float, float]:
    """Seconds of this Python with ``arguments``, and the megabytes that it held at the most.

    Raises:
        CalledProcessError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, sys.executable, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **thread_environment(threads)},
    )
    seconds, kilobytes = done.stdout.split()
    return float(seconds), int(kilobytes) * 1024 / 1e6
