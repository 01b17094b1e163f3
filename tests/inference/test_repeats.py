"""Equal inputs: run once, and every one of them gets the result that it would have had by itself."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedrt import SentenceEncoder
from embedrt.encoding import Request
from embedrt.inference.batching import Batch
from embedrt.inference.repeats import different_rows, first_equals, run_once
from embedrt.inference.scheduling import Work
from embedrt.inference.session import GraphSession
from embedrt.text.tokenizer import TokenRows

Ran = list[list[list[int]]]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    """The ``input_ids`` of every run."""
    seen: Ran = []
    run = GraphSession.run

    def noting(session: GraphSession, input_ids: npt.NDArray[np.int64], *rest: Any, **more: Any) -> Any:
        seen.append(input_ids.tolist())
        return run(session, input_ids, *rest, **more)

    monkeypatch.setattr(GraphSession, "run", noting)
    return seen


def _rows(*rows: Sequence[int], **more: Any) -> TokenRows:
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    ids = np.array([id for row in rows for id in row], dtype=np.int64)
    return TokenRows(ids=ids, lengths=lengths, starts=np.cumsum(lengths) - lengths, **more)


def _work(tokens: TokenRows, consume: Callable[..., None] = lambda *_: None, **more: Any) -> Work[None]:
    return Work(tokens=tokens, outputs=("sentence_embedding",), consume=consume, result=None, **more)


def test_equal_texts_run_once(encoder: SentenceEncoder, ran: Ran) -> None:
    texts = ["hello world", "cat", "HELLO  world", "a cat sat", "cat", "cat"]
    apart = np.stack([encoder.encode(text) for text in texts])
    ran.clear()
    together = encoder.encode(texts)
    assert sum(len(run) for run in ran) == 3
    np.testing.assert_array_equal(together, apart)


def test_batches_hold_so_many_different_texts(encoder: SentenceEncoder, ran: Ran) -> None:
    encoder.encode(["cat", "cat", "mat", "hello", "mat", "world"], batch_size=3)
    assert sorted(len(run) for run in ran) == [1, 3]


@given(
    st.lists(
        st.sampled_from(["", "cat", "Cat", "mat", "hello world", "a cat sat", "忘记密码"]), min_size=1, max_size=200
    )
)
def test_any_repeats_in_any_order(encoder: SentenceEncoder, texts: list[str]) -> None:
    alone = {text: encoder.encode(text) for text in set(texts)}
    np.testing.assert_array_equal(encoder.encode(texts), np.stack([alone[text] for text in texts]))
    np.testing.assert_array_equal(np.stack(list(encoder.encode_iter(texts))), np.stack([alone[text] for text in texts]))


def test_every_input_is_counted_and_few_results_are_copied_at_once(tiny: Path) -> None:
    told: list[float] = []
    with SentenceEncoder(tiny) as encoder:
        vectors = encoder._encoding.sentence_embeddings(["cat", "mat"] * 150, Request(advance=told.append))
    assert sum(told) == 300
    assert max(told) == 64
    np.testing.assert_array_equal(vectors, np.tile(vectors[:2], (150, 1)))


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (_rows([1, 2], [1, 2], [1, 3], [1], [1, 2]), [0, 0, 2, 3, 0]),
        (_rows([], [5], [], [5]), [0, 1, 0, 1]),
        (_rows([1, 2, 3], [1, 2], [3]), [0, 1, 2]),
        (_rows([1, 2], [1, 2], [1, 2], type_ids=np.array([0, 1, 0, 0, 0, 1], dtype=np.int64)), [0, 1, 0]),
        (_rows([1, 2], [1, 2], [1, 2], attended=np.array([2, 1, 2], dtype=np.int64)), [0, 1, 0]),
    ],
)
def test_what_is_equal(tokens: TokenRows, expected: list[int]) -> None:
    assert first_equals(tokens).tolist() == expected


def test_rows_without_their_repeats() -> None:
    tokens = _rows([5, 6], [7], [5, 6], [8], [7], attended=np.array([2, 1, 2, 1, 0], dtype=np.int64))
    rows, place = different_rows(tokens)
    assert place is not None
    assert place.tolist() == [0, 1, 0, 2, 3]
    assert [rows.row(index).tolist() for index in range(len(rows))] == [[5, 6], [7], [8], [7]]
    assert rows.attended is not None
    assert rows.attended.tolist() == [2, 1, 1, 0]
    for different in (_rows([1]), _rows([1], [2])):
        assert different_rows(different) == (different, None)


def test_results_go_to_the_inputs_that_they_are_of() -> None:
    found: dict[int, float] = {}

    def consume(batch: Batch, results: list[npt.NDArray[np.float32]], mask: npt.NDArray[np.int64]) -> None:
        assert len(batch.rows) == len(results[0]) == len(mask)
        assert batch.length == 1
        found.update(zip(batch.rows.tolist(), results[0].tolist(), strict=True))

    once, lengths = run_once(_work(_rows([7], [8], [7], [9], [8], [7]), consume))
    assert lengths.tolist() == [1, 1, 0, 1, 0, 0]
    once.consume(Batch(rows=np.array([3, 1]), length=1), [np.array([0.9, 0.8], np.float32)], np.ones((2, 1), np.int64))
    assert found == {3: np.float32(0.9), 1: np.float32(0.8), 4: np.float32(0.8)}
    once.consume(Batch(rows=np.array([0]), length=1), [np.array([0.7], np.float32)], np.ones((1, 1), np.int64))
    assert sorted(found) == [0, 1, 2, 3, 4, 5]
    assert found[0] == found[2] == found[5] == np.float32(0.7)


def test_work_that_is_left_as_it_is() -> None:
    one, different = _work(_rows([1, 2])), _work(_rows([1, 2], [2, 1]))
    extra = _work(_rows([1], [1]), extra=lambda _batch: {})
    for work in (one, different, extra):
        once, lengths = run_once(work)
        assert once is work
        np.testing.assert_array_equal(lengths, work.tokens.lengths)
