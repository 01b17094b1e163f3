"""Batches onto threads: which session runs them, what callers see, and that the bits do not depend on it."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from embedrt import SentenceEncoder
from embedrt.errors import InputError
from embedrt.inference.batching import Batch
from embedrt.inference.devices import Device
from embedrt.inference.scheduling import Scheduler, Work
from embedrt.inference.session import GraphSession
from embedrt.text.tokenizer import TokenRows

FEW = 8  # four batches a thread, two threads


class RecordingSession(GraphSession):
    """A session that notes which threads run it; with ``meet`` its first two runs wait for each other."""

    meet: threading.Barrier | None = None
    fail_at: int | None = None

    def __init__(self, path: Path, *, threads: int) -> None:
        super().__init__(path, threads=threads)
        self.ran: list[int] = []

    def run(self, *arguments: Any, **options: Any) -> list[npt.NDArray[np.float32]]:
        self.ran.append(threading.get_ident())
        if self.meet is not None and len(self.ran) <= 2:
            self.meet.wait(timeout=20)
        if self.fail_at is not None and len(self.ran) > self.fail_at:
            raise RuntimeError("no more memory")
        return super().run(*arguments, **options)


def _work(tokens: TokenRows, consume: Callable[..., None], **more: Any) -> Work[None]:
    return Work(tokens=tokens, outputs=("sentence_embedding",), consume=consume, result=None, **more)


class Sessions:
    """A scheduler of two threads and the sessions that it was given."""

    def __init__(self, graph: Path) -> None:
        self.shared = RecordingSession(graph, threads=2)
        self.single = RecordingSession(graph, threads=1)
        self.opened = 0
        self.scheduler = Scheduler(self.shared, self.open_single, workers=2, pad_token_id=0, padding_side="right")

    def open_single(self) -> GraphSession:
        self.opened += 1
        return self.single

    def run(self, count: int) -> npt.NDArray[np.float32]:
        """Vectors of ``count`` texts of three tokens, each a batch of its own."""
        ids = np.random.default_rng(0).integers(4, 40, (count, 3))
        tokens = TokenRows(
            ids=ids.reshape(-1), lengths=np.full(count, 3), starts=np.arange(0, 3 * count, 3, dtype=np.int64)
        )
        vectors = np.full((count, 8), np.nan, dtype=np.float32)

        def consume(batch: Batch, results: list[npt.NDArray[np.float32]], mask: npt.NDArray[np.int64]) -> None:
            assert mask.shape == (1, 3)
            vectors[batch.rows] = results[0]

        batches = [Batch(rows=np.array([row]), length=3) for row in range(count)]
        self.scheduler.run(_work(tokens, consume), batches)
        return vectors


@pytest.fixture
def sessions(tmp_path: Path, write_graph: Callable[..., Path]) -> Iterator[Sessions]:
    made = Sessions(write_graph(tmp_path / "model.onnx"))
    yield made
    made.scheduler.close()


def test_few_batches_run_on_the_shared_session_in_the_callers_thread(sessions: Sessions) -> None:
    vectors = sessions.run(FEW)
    assert sessions.shared.ran == [threading.get_ident()] * FEW
    assert (sessions.single.ran, sessions.opened) == ([], 0)
    assert not np.isnan(vectors).any()


def test_many_batches_run_on_workers_at_the_same_time(sessions: Sessions) -> None:
    sessions.single.meet = threading.Barrier(2)
    vectors = sessions.run(FEW + 1)
    assert sessions.shared.ran == []
    assert len(sessions.single.ran) == FEW + 1
    assert len(set(sessions.single.ran)) == 2
    assert threading.get_ident() not in sessions.single.ran
    assert not np.isnan(vectors).any()


def test_the_second_session_is_opened_once(sessions: Sessions) -> None:
    for _ in range(3):
        sessions.run(20)
    assert sessions.opened == 1


def test_both_ways_give_the_same_bits(sessions: Sessions) -> None:
    np.testing.assert_array_equal(sessions.run(FEW), sessions.run(40)[:FEW])
    assert (len(sessions.shared.ran), len(sessions.single.ran)) == (FEW, 40)


def test_one_thread_needs_no_workers(sessions: Sessions) -> None:
    sessions.scheduler.workers = 1
    sessions.run(50)
    assert (len(sessions.shared.ran), sessions.opened) == (50, 0)


@pytest.mark.parametrize("count", [FEW, 40])
def test_an_error_in_a_batch_reaches_the_caller(sessions: Sessions, count: int) -> None:
    sessions.shared.fail_at = sessions.single.fail_at = 3
    with pytest.raises(RuntimeError, match="no more memory"):
        sessions.run(count)
    sessions.shared.fail_at = sessions.single.fail_at = None
    assert not np.isnan(sessions.run(count)).any()  # and leaves the scheduler usable


def test_an_error_in_the_consumer_reaches_the_caller(sessions: Sessions) -> None:
    tokens = TokenRows(ids=np.array([2, 3]), lengths=np.array([2]), starts=np.array([0]))

    def consume(*_arguments: object) -> None:
        raise ValueError("disk full")

    for count in (1, 20):
        with pytest.raises(ValueError, match="disk full"):
            sessions.scheduler.run(_work(tokens, consume), [Batch(rows=np.array([0]), length=2)] * count)


def test_what_runs_when_another_batch_fails_is_waited_for(sessions: Sessions) -> None:
    """It writes into what the caller holds."""
    tokens = TokenRows(ids=np.arange(4, 24), lengths=np.ones(20, dtype=np.int64), starts=np.arange(20))
    at_work, begun, ended = threading.Event(), list[int](), list[int]()

    def consume(batch: Batch, *_results: object) -> None:
        [row] = batch.rows.tolist()
        if row == 0:
            at_work.wait(20)
            raise ValueError("disk full")
        begun.append(row)
        at_work.set()
        time.sleep(0.2)
        ended.append(row)

    batches = [Batch(rows=np.array([row]), length=1) for row in range(20)]
    with pytest.raises(ValueError, match="disk full"):
        sessions.scheduler.run(_work(tokens, consume), batches)
    assert begun
    assert sorted(ended) == sorted(begun)


def test_no_batches_are_no_work(sessions: Sessions) -> None:
    assert sessions.run(0).shape == (0, 8)
    assert sessions.shared.ran == []


def test_the_prompt_is_left_out_of_pooling_on_either_padding_side(
    tmp_path: Path, write_graph: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, npt.NDArray[np.int64]] = {}
    session = GraphSession(write_graph(tmp_path / "masked.onnx", pooling_mask=True), threads=1)
    tokens = TokenRows(ids=np.arange(4, 12), lengths=np.array([5, 3]), starts=np.array([0, 5]))
    batch = Batch(rows=np.array([0, 1]), length=6)
    for side in ("right", "left"):
        scheduler = Scheduler(session, lambda: session, workers=1, pad_token_id=0, padding_side=side)

        def noting(_ids: Any, _mask: Any, *, pooling_mask: Any, side: str = side, **_options: Any) -> list[Any]:
            seen[side] = pooling_mask
            return [np.zeros((2, 8), dtype=np.float32)]

        monkeypatch.setattr(session, "run", noting)
        scheduler.run(_work(tokens, lambda *_: None, prompt_length=2), [batch])
    np.testing.assert_array_equal(seen["right"], [[0, 0, 1, 1, 1, 0], [0, 0, 1, 0, 0, 0]])
    np.testing.assert_array_equal(seen["left"], [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1]])


def test_eight_threads_share_an_encoder(encoder: SentenceEncoder) -> None:
    jobs = [[f"{'cat ' * (index % 7)}hello {'world ' * (row % 5)}" for row in range(40)] for index in range(24)]
    expected = [encoder.encode(texts) for texts in jobs]
    start = threading.Barrier(8)

    def job(index: int) -> npt.NDArray[Any]:
        if index < 8:
            start.wait(timeout=20)
        return encoder.encode(jobs[index], batch_size=1 if index % 2 else None)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(job, range(24)))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def workers() -> int:
    return sum(thread.name.startswith("embedrt") for thread in threading.enumerate())


def test_a_closed_encoder_leaves_no_threads(tiny: Path) -> None:
    before = workers()
    with SentenceEncoder(tiny, threads=6) as encoder:  # a number that no other test has
        encoder.encode([f"{'cat ' * count}{end}" for count in range(10) for end in "!?.,"], batch_size=1)
        assert workers() > before
    assert workers() == before


@pytest.mark.parametrize("threads", [1, 6])
def test_closing_ends_a_call_that_is_at_work(tiny: Path, threads: int) -> None:
    before, encoder = workers(), SentenceEncoder(tiny, threads=threads)
    texts = [f"{'cat ' * count}{end}" for count in range(10) for end in "!?.,"]
    vectors = encoder.encode_iter(texts * 500, batch_size=1)
    next(vectors)
    encoder.close()
    with pytest.raises(InputError, match="the model was closed while it was at work: close it when all calls have"):
        list(vectors)
    assert workers() == before


def test_on_a_card_several_runs_are_in_flight_on_one_session(tiny: Path) -> None:
    """Two runs that wait for each other end only if both have begun."""
    session = RecordingSession(tiny / "onnx/model.onnx", threads=2)
    session.meet = threading.Barrier(2)
    scheduler = Scheduler(session, lambda: session, workers=2, pad_token_id=0, padding_side="right", device_kind="cuda")
    ids = np.arange(4, 10).reshape(2, 3)
    tokens = TokenRows(ids=ids.ravel(), lengths=np.array([3, 3]), starts=np.array([0, 3]))
    batches = [Batch(rows=np.array([row]), length=3) for row in range(2)]
    done: list[int] = []
    scheduler.run(_work(tokens, lambda batch, *_: done.append(int(batch.rows[0]))), batches)
    scheduler.close()
    assert sorted(done) == [0, 1]
    assert len(set(session.ran)) == 2


def test_weights_lie_on_a_card_once(tiny: Path) -> None:
    with SentenceEncoder(tiny, threads=2) as encoder:
        opened = encoder._opened
        assert opened.single() is not opened.session
        on_card = dataclasses.replace(opened, device=Device("cuda"))
        assert on_card.single() is on_card.session
