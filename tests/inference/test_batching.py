"""Plans of batches and padded arrays: nothing lost, nothing twice, and a text's shape depends on itself alone."""

import dataclasses
import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedrt.inference.batching import Batch, padded_arrays, padded_types, plan_batches, without_prompt
from embedrt.text.tokenizer import TokenRows

LENGTHS = st.lists(st.integers(0, 40), max_size=40).map(lambda lengths: np.array(lengths, dtype=np.int64))
BUDGETS = st.integers(1, 100)
STEPS = st.integers(1, 9)


def _rows(*texts: list[int]) -> TokenRows:
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    ids = np.array([token for text in texts for token in text], dtype=np.int64)
    return TokenRows(ids=ids, lengths=lengths, starts=np.cumsum(lengths) - lengths)


@given(LENGTHS, BUDGETS, STEPS, st.none() | st.integers(1, 9))
def test_a_plan_holds_every_text_with_tokens_once(
    lengths: npt.NDArray[np.int64], budget: int, step: int, batch_size: int | None
) -> None:
    batches = plan_batches(lengths, token_budget=budget, length_step=step, batch_size=batch_size)
    planned = [row for batch in batches for row in batch.rows.tolist()]
    assert sorted(planned) == np.flatnonzero(lengths).tolist(), "all but texts without tokens"


@given(LENGTHS, BUDGETS, STEPS)
def test_batches_are_of_one_length_and_within_the_budget(
    lengths: npt.NDArray[np.int64], budget: int, step: int
) -> None:
    batches = plan_batches(lengths, token_budget=budget, length_step=step)
    for batch in batches:
        for length in lengths[batch.rows].tolist():
            assert batch.length == (length + step - 1) // step * step
        assert len(batch.rows) == 1 or len(batch.rows) * batch.length <= budget
    planned = [batch.length for batch in batches]
    assert planned == sorted(planned, reverse=True)


@given(LENGTHS, STEPS, BUDGETS)
def test_no_batch_could_be_joined_with_the_next(lengths: npt.NDArray[np.int64], step: int, budget: int) -> None:
    batches = plan_batches(lengths, token_budget=budget, length_step=step)
    for first, second in itertools.pairwise(batches):
        if first.length == second.length:
            assert (len(first.rows) + 1) * max(first.length, 1) > budget


@given(LENGTHS, BUDGETS, st.integers(1, 9))
def test_a_batch_size_goes_before_the_budget(lengths: npt.NDArray[np.int64], budget: int, batch_size: int) -> None:
    sizes: dict[int, list[int]] = {}
    for batch in plan_batches(lengths, token_budget=budget, batch_size=batch_size):
        sizes.setdefault(batch.length, []).append(len(batch.rows))
    for group in sizes.values():
        assert all(size == batch_size for size in group[:-1])
        assert group[-1] <= batch_size


@given(LENGTHS, BUDGETS, STEPS, st.data())
def test_a_length_is_the_same_in_any_company(
    lengths: npt.NDArray[np.int64], budget: int, step: int, data: st.DataObject
) -> None:
    def planned(given_lengths: npt.NDArray[np.int64]) -> dict[int, int]:
        batches = plan_batches(given_lengths, token_budget=budget, length_step=step)
        return {row: batch.length for batch in batches for row in batch.rows.tolist()}

    together = planned(lengths)
    order = data.draw(st.permutations(range(len(lengths))))
    shuffled = planned(lengths[np.array(order, dtype=np.int64)])
    assert {order[row]: length for row, length in shuffled.items()} == together
    for row, length in enumerate(lengths):
        assert planned(np.array([length])) == ({0: together[row]} if length else {})


def test_plans_by_hand() -> None:
    lengths = np.array([3, 5, 3, 3, 9])
    plain = plan_batches(lengths, token_budget=6)
    assert [(batch.rows.tolist(), batch.length) for batch in plain] == [([4], 9), ([1], 5), ([0, 2], 3), ([3], 3)]
    stepped = plan_batches(lengths, token_budget=32, length_step=8)
    assert [(batch.rows.tolist(), batch.length) for batch in stepped] == [([4], 16), ([0, 1, 2, 3], 8)]
    assert plan_batches(np.array([], dtype=np.int64), token_budget=6) == []


@pytest.mark.parametrize(
    ("side", "ids", "mask"),
    [
        ("right", [[7, 8, 9, 1, 1], [5, 1, 1, 1, 1], [1, 1, 1, 1, 1]], [[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [0] * 5]),
        ("left", [[1, 1, 7, 8, 9], [1, 1, 1, 1, 5], [1, 1, 1, 1, 1]], [[0, 0, 1, 1, 1], [0, 0, 0, 0, 1], [0] * 5]),
    ],
)
def test_padding_by_hand(side: str, ids: list[list[int]], mask: list[list[int]]) -> None:
    tokens = _rows([7, 8, 9], [5], [6, 6], [])
    batch = Batch(rows=np.array([0, 1, 3]), length=5)
    input_ids, attention_mask = padded_arrays(tokens, batch, pad_token_id=1, padding_side=side)
    np.testing.assert_array_equal(input_ids, ids)
    np.testing.assert_array_equal(attention_mask, mask)
    assert {input_ids.dtype, attention_mask.dtype} == {np.dtype(np.int64)}


@pytest.mark.parametrize(
    ("side", "types", "mask"),
    [
        ("right", [[2, 0, 1, 0, 0], [3, 0, 0, 0, 0]], [[1, 1, 0, 0, 0], [1, 0, 0, 0, 0]]),
        ("left", [[0, 0, 2, 0, 1], [0, 0, 0, 0, 3]], [[0, 0, 1, 1, 0], [0, 0, 0, 0, 1]]),
    ],
)
def test_types_and_attended_tokens_by_hand(side: str, types: list[list[int]], mask: list[list[int]]) -> None:
    """Type 0 where nothing is, and mask 0 behind the tokens that attention sees."""
    rows = _rows([7, 8, 9], [6], [5])
    tokens = dataclasses.replace(rows, type_ids=np.array([2, 0, 1, 4, 3]), attended=np.array([2, 1, 1]))
    batch = Batch(rows=np.array([0, 2]), length=5)
    found = padded_types(tokens, batch, padding_side=side)
    assert found is not None
    np.testing.assert_array_equal(found, types)
    np.testing.assert_array_equal(padded_arrays(tokens, batch, pad_token_id=1, padding_side=side)[1], mask)
    assert padded_types(rows, batch, padding_side=side) is None


def test_padding_when_no_text_has_a_token() -> None:
    ids, mask = padded_arrays(
        _rows([], []), Batch(rows=np.array([0, 1]), length=2), pad_token_id=4, padding_side="left"
    )
    np.testing.assert_array_equal(ids, [[4, 4], [4, 4]])
    np.testing.assert_array_equal(mask, [[0, 0], [0, 0]])


@given(
    st.lists(st.lists(st.integers(1, 99), max_size=9), min_size=1, max_size=9),
    st.integers(0, 5),
    st.sampled_from(["left", "right"]),
    st.randoms(use_true_random=False),
)
def test_real_tokens_keep_their_order_and_the_rest_is_padding(
    texts: list[list[int]], extra: int, side: str, random: np.random.Generator
) -> None:
    order = list(range(len(texts)))
    random.shuffle(order)
    batch = Batch(rows=np.array(order), length=max(map(len, texts)) + extra)
    ids, mask = padded_arrays(_rows(*texts), batch, pad_token_id=0, padding_side=side)
    assert ids.shape == mask.shape == (len(texts), batch.length)
    for index, row in enumerate(order):
        assert ids[index][mask[index] == 1].tolist() == texts[row]
        assert not ids[index][mask[index] == 0].any()
        assert mask[index].tolist() == sorted(mask[index].tolist(), reverse=side == "right")


def test_prompts_of_different_lengths_are_left_out_row_by_row() -> None:
    mask = np.array([[1, 1, 1, 1], [0, 1, 1, 1]])
    expected = [[0, 0, 1, 1], [0, 0, 1, 1]]
    np.testing.assert_array_equal(without_prompt(mask, np.array([[2], [1]])), expected)
    np.testing.assert_array_equal(without_prompt(mask, 1), [[0, 1, 1, 1], [0, 0, 1, 1]])
