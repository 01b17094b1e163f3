"""Worker threads: shared by encoders, ended with the last one, and gone after a fork."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from embedrt import SentenceEncoder
from embedrt.inference.workers import Busy, WorkerLease

COUNT = 5  # of no encoder elsewhere in this process


def running() -> int:
    return sum(thread.name.startswith("embedrt") for thread in threading.enumerate())


def fill(lease: WorkerLease) -> None:
    """Start every thread of the pool."""
    barrier = threading.Barrier(lease.count)
    for done in [lease.pool().submit(barrier.wait, 20) for _ in range(lease.count)]:
        done.result()


def test_leases_of_one_count_share_a_pool_until_the_last_is_released() -> None:
    before = running()
    first, second, other = WorkerLease(COUNT), WorkerLease(COUNT), WorkerLease(COUNT + 1)
    assert first.pool() is second.pool() is first.pool()
    assert other.pool() is not first.pool()
    fill(first)
    first.release()
    assert running() == before + COUNT
    fill(second)  # still usable
    second.release()
    other.release()
    assert running() == before


def test_a_released_lease_may_be_used_and_released_again() -> None:
    before = running()
    lease = WorkerLease(COUNT)
    lease.release()  # never used
    fill(lease)
    lease.release()
    lease.release()
    fill(lease)
    lease.release()
    assert running() == before


def test_several_encoders_have_the_threads_of_one(tiny: Path) -> None:
    before = running()
    encoders = [SentenceEncoder(tiny, threads=COUNT) for _ in range(3)]
    texts = [f"{'cat ' * count}{end}" for count in range(12) for end in "!?.,:"]
    jobs = [threading.Thread(target=one.encode, args=(texts,), kwargs={"batch_size": 1}) for one in encoders]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert running() <= before + COUNT
    for one in encoders:
        one.close()
    assert running() == before


def test_busy_counts_callers_of_all_threads() -> None:
    with Busy() as outer:
        assert outer.alone
        seen: list[bool] = []

        def enter() -> None:
            with Busy() as inner:
                seen.append(inner.alone)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        assert seen == [False]
    with pytest.raises(ValueError, match="inside"), Busy():
        raise ValueError("inside")
    with Busy() as after:
        assert after.alone


FORKING = """
import os, sys
from embedrt import SentenceEncoder
texts = [f"{'cat ' * count}{end}" for count in range(10) for end in "!?.,:abc"]
encoder = SentenceEncoder(sys.argv[1], threads=1)
wide = SentenceEncoder(sys.argv[1], threads=2)
expected = encoder.encode(texts, batch_size=1)
wide.encode(texts, batch_size=1)  # starts the workers that the child will not have
child = os.fork()
if child == 0:
    same = (wide.encode(texts, batch_size=1) == expected).all()
    os._exit(0 if same else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("parallelism", ["true", "false"])
def test_a_forked_child_starts_workers_of_its_own(tiny: Path, parallelism: str) -> None:
    """As gunicorn and multiprocessing do with a model that was loaded before; without new workers it would hang."""
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": parallelism}
    command = [sys.executable, "-c", FORKING, str(tiny)]
    done = subprocess.run(command, timeout=60, check=False, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()
