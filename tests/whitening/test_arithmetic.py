"""The arithmetic of whitening against the paper's own lines, and against what a corpus may lack."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from embedrt_export.whitening import FEWEST_TEXTS, moments_of, whitened, whitening_of
from hypothesis import given, settings
from hypothesis import strategies as st

from embedrt.errors import InputError

Floats = npt.NDArray[np.float32]


def corpus(rows: int, width: int, *, seed: int = 0, rank: int | None = None) -> Floats:
    """Correlated vectors far from the origin, of variances that span two orders of magnitude."""
    random = np.random.default_rng(seed)
    inner = random.normal(size=(rows, rank or width)) * np.logspace(0, -1, rank or width)
    return (inner @ random.normal(size=(rank or width, width)) + 3).astype(np.float32)


def published(vectors: Floats, dims: int) -> npt.NDArray[np.float64]:
    """As the paper's code has it: the SVD of the covariance."""
    mean = vectors.astype(np.float64).mean(axis=0, keepdims=True)
    covariance = np.cov(vectors.astype(np.float64).T, bias=True)
    directions, variances, _ = np.linalg.svd(covariance)
    whole = (vectors - mean) @ (directions @ np.diag(1 / np.sqrt(variances)))[:, :dims]
    return np.asarray(whole / np.linalg.norm(whole, axis=1, keepdims=True))


@pytest.mark.parametrize("dims", [3, 12])
def test_the_papers_own_lines(dims: int) -> None:
    vectors = corpus(400, 12)
    found, expected = whitened(vectors, whitening_of(moments_of([vectors]), dims)), published(vectors, dims)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)  # a direction's sign is nobody's choice
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-9)


def test_mean_and_covariance_come_out_as_zero_and_one() -> None:
    vectors = corpus(300, 8)
    made = whitening_of(moments_of([vectors]))
    result = (vectors.astype(np.float64) - made.mean) @ made.matrix
    np.testing.assert_allclose(result.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(np.cov(result.T, bias=True), np.eye(8), atol=1e-9)
    assert made.rank == 8
    assert made.explained_variance == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(1, 199), max_size=6), seed=st.integers(0, 9))
def test_moments_do_not_depend_on_the_chunks(cuts: list[int], seed: int) -> None:
    vectors = corpus(200, 5, seed=seed)
    chunks = [chunk for chunk in np.split(vectors, sorted(cuts)) if len(chunk)]
    found = moments_of(chunks)
    assert found.count == 200
    np.testing.assert_allclose(found.mean, vectors.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(vectors.astype(np.float64).T, bias=True), rtol=1e-9, atol=1e-12)


def test_moments_of_vectors_far_from_the_origin() -> None:
    """The sum of squares less the square of the sum would have no digit left."""
    vectors = np.array([[1e4], [1e4 + 1], [1e4 + 2]], dtype=np.float32)
    assert moments_of([vectors[:1], vectors[1:]]).covariance[0, 0] == pytest.approx(2 / 3, rel=1e-12)


@pytest.mark.parametrize("rank", [1, 5, 11])
def test_directions_without_variance_are_dropped(rank: int) -> None:
    vectors = corpus(300, 12, rank=rank)
    made = whitening_of(moments_of([vectors]))
    assert made.rank == rank
    assert made.matrix.shape == (12, rank)
    result = whitened(corpus(50, 12, seed=1), made)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(np.linalg.norm(result, axis=1), 1)


def test_fewer_texts_than_dimensions() -> None:
    vectors = corpus(40, 64)
    made = whitening_of(moments_of([vectors]))
    assert made.rank == 39
    again = moments_of([vectors, vectors[:1]])  # enough texts, were they different
    with pytest.raises(
        InputError, match=r"vary in 39 directions only \(41 texts, vectors of 64\): pass --dims 39 or less"
    ):
        whitening_of(again, 40)


def test_texts_that_repeat_add_no_direction() -> None:
    vectors = corpus(10, 16)
    made = whitening_of(moments_of([np.tile(vectors, (8, 1))]))
    assert made.rank == 9


@pytest.mark.parametrize(
    ("rows", "dims", "message"),
    [
        (FEWEST_TEXTS - 1, None, f"holds {FEWEST_TEXTS - 1} texts, expected at least {FEWEST_TEXTS}, better"),
        (60, 60, "holds 60 texts, expected at least 61 for 60 dimensions"),
    ],
)
def test_a_corpus_that_is_too_small(rows: int, dims: int | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        whitening_of(moments_of([corpus(rows, 80)]), dims)


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_a_corpus_of_one_text_again_and_again(noise: float) -> None:
    vectors = np.tile(corpus(1, 16), (100, 1)) + np.random.default_rng(0).normal(size=(100, 16)) * noise
    with pytest.raises(InputError, match="the 100 texts of the corpus for whitening all have the same vector"):
        whitening_of(moments_of([vectors.astype(np.float32)]))


def test_no_vector_at_all() -> None:
    with pytest.raises(InputError, match="there is no vector to whiten by"):
        moments_of([])


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_are_not_finite(number: float) -> None:
    vectors = corpus(64, 4)
    vectors[40, 2] = number
    with pytest.raises(InputError, match="gives a vector with numbers that are not finite"):
        whitening_of(moments_of([vectors[:32], vectors[32:]]))


def test_the_mean_itself_stays_zero() -> None:
    vectors: Any = corpus(100, 4)
    made = whitening_of(moments_of([vectors]))
    np.testing.assert_array_equal(whitened(made.mean[None, :], made), np.zeros((1, 4)))
