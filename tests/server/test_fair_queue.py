"""Whose turn it is, what runs together, and what becomes of texts whose run failed."""

import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest

from embedrt.server.fair_queue import FairQueue, QueueClosedError, QueueFullError
from embedrt.server.jobs import Batch, Job, Result
from embedrt.text.tokenizer import token_rows


class _Model:
    """Runs nothing; the queue only asks for its budget."""

    token_budget = 16

    def run(self, batch: Batch) -> Sequence[Result]:
        raise NotImplementedError

    def renew(self) -> None:
        raise NotImplementedError


MODEL, OTHER = _Model(), _Model()


def _job(*lengths: int, model: _Model = MODEL, output: str = "sentence_embedding") -> Job:
    return Job(model, token_rows([[1] * length for length in lengths]), output=output)


def _queue(*jobs: Job, capacity: int = 1000, linger: float = 0.0) -> FairQueue:
    queue = FairQueue(capacity=capacity, linger=linger)
    for job in jobs:
        queue.put(job)
    return queue


def _take(queue: FairQueue) -> Batch:
    batch = queue.take()
    assert batch is not None
    return batch


def _drained(queue: FairQueue) -> list[list[tuple[Job, int]]]:
    """The members of all batches, one after another."""
    batches = []
    while queue.waiting:
        batches.append(_take(queue).members)
    return batches


def _results(batch: Batch) -> list[Result]:
    return [np.zeros(1, dtype=np.float32) for _ in batch.members]


def test_texts_of_many_jobs_run_together_only_where_they_are_of_one_length() -> None:
    first, second, third = _job(4), _job(5), _job(4)
    queue = _queue(first, second, third)
    assert _drained(queue) == [[(first, 0), (third, 0)], [(second, 0)]]


@pytest.mark.parametrize(("length", "texts"), [(4, 4), (5, 3), (16, 1), (40, 1), (0, 16)])
def test_a_run_holds_what_the_budget_allows(length: int, texts: int) -> None:
    queue = _queue(_job(*[length] * 20))
    assert len(_take(queue).members) == texts


@pytest.mark.parametrize("other", [_job(4, model=OTHER), _job(4, output="token_embeddings")])
def test_other_models_and_outputs_run_apart(other: Job) -> None:
    queue = _queue(_job(4), other)
    assert [len(members) for members in _drained(queue)] == [1, 1]


def test_a_large_job_does_not_hold_up_a_small_one() -> None:
    large = _job(*[4] * 2000)
    queue = _queue(large, capacity=3000)
    first = _take(queue)
    small, another = _job(9), _job(4)
    queue.put(small)
    queue.put(another)
    assert {job for job, _ in first.members} == {large}
    following = [_take(queue).members for _ in range(2)]
    assert (another, 0) in following[0]  # it joins the large job's next run
    assert following[1] == [(small, 0)]  # and what cannot join has the next turn


def test_two_large_jobs_have_their_turns_in_equal_shares() -> None:
    one, two = _job(*[4] * 64), _job(*[4] * 64)
    queue = _queue(one, two)
    taken = [job for _ in range(8) for job, _ in _take(queue).members]
    assert (taken.count(one), taken.count(two)) == (16, 16)


def test_every_text_runs_once_and_results_find_their_rows() -> None:
    random = np.random.default_rng(0)
    jobs = [_job(*random.integers(1, 9, size)) for size in (1, 30, 2, 7, 1)]
    queue = _queue(*jobs)
    ended = []
    while queue.waiting:
        batch = _take(queue)
        ended += queue.finish(batch, [np.array([id(job) % 1000, row], dtype=np.float32) for job, row in batch.members])
    assert sorted(map(id, ended)) == sorted(map(id, jobs))
    for job in jobs:
        found = [result.tolist() for result in job.results if result is not None]
        assert found == [[id(job) % 1000, row] for row in range(len(job.results))]
    assert (queue.waiting, queue.running) == (0, 0)


def test_a_lone_text_may_use_all_threads_and_company_may_not() -> None:
    queue = _queue(_job(4))
    alone = _take(queue)
    queue.put(_job(4))
    beside = _take(queue)
    assert (alone.wide, beside.wide) == (True, False)
    queue.finish(alone, _results(alone))
    queue.finish(beside, _results(beside))
    queue.put(_job(4, 5))
    assert not _take(queue).wide


def test_full() -> None:
    queue = _queue(_job(4, 4, 4), capacity=4)
    with pytest.raises(QueueFullError, match="3 texts are waiting, 4 may"):
        queue.put(_job(4, 4))
    queue.put(_job(4))
    assert queue.waiting == 4


def test_a_cancelled_job_never_runs() -> None:
    gone, there = _job(4, 4, 7), _job(4)
    queue = _queue(gone, there)
    queue.cancel(gone)
    assert queue.waiting == 1
    assert _drained(queue) == [[(there, 0)]]
    queue.cancel(there)  # it runs already: nothing to take back
    assert (there.ended, queue.waiting) == (True, 0)


def test_a_job_that_was_cancelled_while_it_ran_is_not_delivered() -> None:
    job = _job(4)
    queue = _queue(job)
    batch = _take(queue)
    queue.cancel(job)
    assert queue.finish(batch, _results(batch)) == []


def test_texts_of_a_failed_run_run_once_more_by_themselves() -> None:
    good, bad = _job(4), _job(4, 4)
    queue = _queue(good, bad)
    error = RuntimeError("poison")
    assert queue.fail(_take(queue), error) == []
    again = [_take(queue) for _ in range(3)]
    assert [len(batch.members) for batch in again] == [1, 1, 1]
    failed = []
    for batch in again:
        if batch.members == [(bad, 1)]:
            failed += queue.fail(batch, error)
        else:
            queue.finish(batch, _results(batch))
    assert failed == [bad]
    assert (bad.error, good.error, good.left) == (error, None, 0)
    assert (queue.waiting, queue.running) == (0, 0)


def test_what_a_given_up_run_still_gives_is_thrown_away() -> None:
    job = _job(4)
    queue = _queue(job)
    batch = _take(queue)
    queue.fail(batch, RuntimeError("hung"))
    assert queue.finish(batch, _results(batch)) == []
    assert queue.running == 0
    again = _take(queue)
    assert queue.finish(again, _results(again)) == [job]


def test_closed() -> None:
    queue = _queue(_job(4))
    queue.close()
    with pytest.raises(QueueClosedError, match="shutting down"):
        queue.put(_job(4))
    assert _take(queue).members
    assert queue.take() is None


def test_nothing_waits_while_nothing_runs() -> None:
    queue = _queue(_job(4), linger=60.0)
    assert len(_take(queue).members) == 1  # would wait a minute


def test_beside_a_run_a_text_waits_for_company_until_the_run_is_full() -> None:
    queue = _queue(_job(9), linger=60.0)
    _take(queue)
    taken: list[Batch] = []
    waiting = threading.Thread(target=lambda: taken.append(_take(queue)))
    waiting.start()
    for _ in range(4):
        assert not taken
        queue.put(_job(4))
    waiting.join(10)
    assert [len(batch.members) for batch in taken] == [4]


def test_company_is_not_awaited_any_more_when_the_other_run_ends() -> None:
    queue = _queue(_job(9), linger=60.0)
    running = _take(queue)
    queue.put(_job(4))
    taken: list[Batch] = []
    waiting = threading.Thread(target=lambda: taken.append(_take(queue)))
    waiting.start()
    while queue._lingering is None:
        time.sleep(0.001)
    queue.finish(running, _results(running))
    waiting.join(10)
    assert [len(batch.members) for batch in taken] == [1]


def test_one_job_sets_as_many_workers_to_work_as_it_has_runs() -> None:
    queue, taken = FairQueue(capacity=1000, linger=0.0), list[Batch | None]()
    workers = [threading.Thread(target=lambda: taken.append(queue.take())) for _ in range(3)]
    for worker in workers:
        worker.start()
    while queue._idle < len(workers):
        time.sleep(0.001)
    queue.put(_job(4, 5, 6))
    for worker in workers:
        worker.join(10)
    ended = [batch is not None for batch in taken]
    queue.close()  # lets those go that were not woken
    assert ended == [True] * len(workers)


def test_many_threads_lose_nothing() -> None:
    queue = FairQueue(capacity=100_000, linger=0.001)
    random = np.random.default_rng(1)
    jobs = [_job(*random.integers(1, 5, random.integers(1, 40))) for _ in range(300)]
    ended: list[Job] = []

    def work() -> None:
        while (batch := queue.take()) is not None:
            ended.extend(queue.finish(batch, _results(batch)))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for job in jobs:
        queue.put(job)
    queue.close()
    for worker in workers:
        worker.join(20)
    assert len(ended) == len(jobs)
    assert {job.left for job in jobs} == {0}
    assert (queue.waiting, queue.running, queue._groups) == (0, 0, {})
