"""Workers that fail, die or hang: who is told, who is replaced, what is lost (nothing)."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pytest

from embedrt.server.crew import Crew, WorkerLostError
from embedrt.server.fair_queue import FairQueue
from embedrt.server.jobs import Batch, Job, Result
from embedrt.text.tokenizer import token_rows

POISON = 7

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # workers are to die here


class _Model:
    """Gives each text its own tokens; ``hook`` is called before each run."""

    token_budget = 64

    def __init__(self, hook: Callable[[Batch], None] = lambda _batch: None) -> None:
        self.hook, self.renewed = hook, 0

    def run(self, batch: Batch) -> Sequence[Result]:
        self.hook(batch)
        return [job.tokens.row(row).astype(np.float32) for job, row in batch.members]

    def renew(self) -> None:
        self.renewed += 1


def _deliver(jobs: Iterable[Job]) -> None:
    for job in jobs:
        job.future.set()


@pytest.fixture
def crew() -> Iterator[Crew]:
    """Two workers; a run of more than half a second hangs."""
    team = Crew(FairQueue(capacity=1000, linger=0.0), count=2, stuck_after=0.5, deliver=_deliver)
    team.start()
    yield team
    assert team.close(10)


def _job(model: _Model, *rows: Sequence[int]) -> Job:
    return Job(model, token_rows(rows), output="sentence_embedding", future=threading.Event())


def _done(crew: Crew, job: Job) -> Job:
    crew.queue.put(job)
    assert job.future.wait(10)
    return job


def _poisoned(batch: Batch) -> bool:
    return any(POISON in job.tokens.row(row) for job, row in batch.members)


def test_results(crew: Crew) -> None:
    job = _done(crew, _job(_Model(), [1, 2], [3], [4, 5]))
    assert [result.tolist() for result in job.results if result is not None] == [[1, 2], [3], [4, 5]]
    assert 0 < job.entered <= job.started <= job.finished
    assert crew.last_success >= job.finished - 1


def test_a_poison_text_fails_alone(crew: Crew) -> None:
    def refuse(batch: Batch) -> None:
        if _poisoned(batch):
            raise ValueError("index out of range")

    model = _Model(refuse)
    good, bad = _job(model, [1], [2]), _job(model, [POISON])
    crew.queue.put(good)
    _done(crew, bad)
    assert good.future.wait(10)
    assert isinstance(bad.error, ValueError)
    assert (good.error, good.left) == (None, 0)
    assert not crew.broken()


def test_a_worker_that_dies_in_the_middle_is_replaced_and_its_texts_run_again(crew: Crew) -> None:
    deaths = iter([True])

    def die_once(_batch: Batch) -> None:
        if next(deaths, False):
            raise SystemExit  # what ends a thread without a word

    model = _Model(die_once)
    job = _job(model, [1], [2])
    crew.queue.put(job)
    while not crew.broken():
        time.sleep(0.005)
    assert crew.check() == ["died"]
    assert job.future.wait(10)
    assert (job.error, job.left, crew.broken()) == (None, 0, False)
    assert (crew.losses, model.renewed) == ({"died": 1, "stuck": 0}, 1)


def test_a_worker_that_hangs_is_given_up_and_its_texts_run_again(crew: Crew) -> None:
    release, hangs = threading.Event(), iter([True])

    def hang_once(_batch: Batch) -> None:
        if next(hangs, False):
            release.wait(20)

    model = _Model(hang_once)
    job = _job(model, [1], [2])
    crew.queue.put(job)
    while not crew.broken():
        time.sleep(0.01)
    assert not job.future.is_set()
    assert crew.check() == ["stuck"]
    assert job.future.wait(10)
    assert (job.error, job.left, crew.losses["stuck"], model.renewed) == (None, 0, 1, 1)
    release.set()  # what comes now comes too late
    assert _done(crew, _job(model, [3])).error is None


def test_a_worker_is_replaced_where_sessions_cannot_be_opened_again() -> None:
    faults: list[Exception] = []
    queue = FairQueue(capacity=10, linger=0.0)
    team = Crew(queue, count=1, stuck_after=60, deliver=_deliver, fault=faults.append)
    deaths = iter([True])

    def die_once(_batch: Batch) -> None:
        if next(deaths, False):
            raise SystemExit

    def gone() -> None:
        raise OSError("model.onnx is gone")

    model = _Model(die_once)
    model.renew = gone  # type: ignore[method-assign]
    team.start()
    job = _job(model, [1])
    team.queue.put(job)
    while not team.broken():
        time.sleep(0.005)
    assert team.check() == ["died"]
    assert job.future.wait(10)
    assert (job.error, team.broken(), [str(error) for error in faults]) == (None, False, ["model.onnx is gone"])
    assert team.close(10)


def test_a_text_that_kills_every_worker_fails_in_the_end(crew: Crew) -> None:
    def die(batch: Batch) -> None:
        if _poisoned(batch):
            raise SystemExit

    model = _Model(die)
    bad, good = _job(model, [POISON]), _job(model, [1, 2])
    crew.queue.put(bad)
    crew.queue.put(good)
    while not bad.future.is_set():
        crew.check()
        time.sleep(0.005)
    assert isinstance(bad.error, WorkerLostError)
    assert good.future.wait(10)
    assert (good.error, crew.losses["died"]) == (None, 2)
    crew.check()
    assert not crew.broken()


def test_closing_finishes_what_is_queued() -> None:
    ended: list[Job] = []
    team = Crew(FairQueue(capacity=1000, linger=0.0), count=1, stuck_after=60, deliver=ended.extend)
    model = _Model(lambda _batch: time.sleep(0.005))
    jobs = [_job(model, [length] * length) for length in range(1, 20)]
    for job in jobs:
        team.queue.put(job)
    team.start()
    assert team.close(10)
    assert len(ended) == len(jobs)


def test_closing_does_not_wait_for_ever() -> None:
    release = threading.Event()
    team = Crew(FairQueue(capacity=10, linger=0.0), count=1, stuck_after=60, deliver=lambda _jobs: None)
    team.start()
    hanging, waiting = _Model(lambda _batch: (release.wait(20), None)[1]), _job(_Model(), [1])
    team.queue.put(_job(hanging, [1]))
    team.queue.put(waiting)
    assert not team.close(0.05)
    release.set()
    assert (waiting.ended, waiting.left, team.queue.waiting) == (True, 1, 0)
