"""Similarity of compressed rows against that of the written-out vectors."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from embedrt import SparseVectors
from embedrt.errors import InputError
from embedrt.similarity import similarity_function
from embedrt.sparse import similarity as sparse_similarity
from embedrt.sparse.similarity import intersection, similarity, similarity_pairwise

MEASURES = ("dot", "cosine", "euclidean", "manhattan")


def vectors(
    seed: int, rows: int, *, terms: int = 50, share: float = 0.3
) -> tuple[npt.NDArray[np.float64], SparseVectors]:
    """Rows written out, in float64 so that what is expected of them is not itself rounded, and compressed, in float32."""
    random = np.random.default_rng(seed)
    dense = random.normal(size=(rows, terms)).astype(np.float32)
    dense[random.random((rows, terms)) > share] = 0
    dense[0] = 0  # a text without any term
    return dense.astype(np.float64), SparseVectors.from_dense(dense)


@pytest.fixture(params=[1 << 22, 60], ids=["one block", "many blocks"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_similarity, "_BLOCK", request.param)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("share", [0.05, 0.9])
@pytest.mark.usefixtures("_blocks")
def test_each_with_each(measure: str, share: float) -> None:
    (a, sparse_a), (b, sparse_b) = vectors(0, 7, share=share), vectors(1, 9, share=share)
    expected = similarity_function(measure)(a, b)
    found = similarity(sparse_a, sparse_b, measure=measure)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(similarity(sparse_a[3], sparse_b, measure=measure), expected[3:4], atol=1e-5)
    np.testing.assert_allclose(
        similarity(sparse_a, sparse_a, measure=measure), similarity_function(measure)(a, a), atol=1e-5
    )


@pytest.mark.parametrize("measure", MEASURES)
def test_pairwise(measure: str) -> None:
    (a, sparse_a), (b, sparse_b) = vectors(2, 8), vectors(3, 8)
    expected = similarity_function(measure, pairwise=True)(a, b)
    np.testing.assert_allclose(similarity_pairwise(sparse_a, sparse_b, measure=measure), expected, atol=1e-5)


@pytest.mark.parametrize("measure", MEASURES)
def test_of_nothing(measure: str) -> None:
    _, some = vectors(0, 3)
    assert similarity(some[:0], some, measure=measure).shape == (0, 3)
    assert similarity(some, some[:0], measure=measure).shape == (3, 0)
    assert similarity_pairwise(some[:0], some[:0], measure=measure).shape == (0,)


def test_intersection() -> None:
    """A product of each term's two weights, where both are of one sign."""
    (a, sparse_a), (b, sparse_b) = vectors(4, 3), vectors(5, 4)
    np.testing.assert_allclose(intersection(sparse_a[1], sparse_b).to_dense(), np.maximum(a[1] * b, 0))
    with pytest.raises(InputError, match=r"^embeddings_1 is a matrix of 1, expected one vector, as in vectors\[0\]$"):
        intersection(sparse_a[:1], sparse_b)  # type: ignore[arg-type]


@pytest.mark.parametrize("compare", [similarity, similarity_pairwise])
def test_what_cannot_be_compared(compare: Callable[..., object]) -> None:
    _, narrow = vectors(0, 3)
    _, wide = vectors(0, 3, terms=60)
    with pytest.raises(InputError, match="vectors of 50 terms cannot be compared with vectors of 60"):
        compare(narrow, wide)
    with pytest.raises(
        TypeError, match=r"^embeddings is a ndarray, expected what SparseEncoder\.encode gives: .* of an array$"
    ):
        compare(narrow.to_dense(), narrow)
    with pytest.raises(InputError, match="similarity is 'angle', expected one of cosine, dot, euclidean, manhattan"):
        compare(narrow, narrow, measure="angle")


def test_pairs_of_different_numbers() -> None:
    _, some = vectors(0, 3)
    with pytest.raises(InputError, match="as many rows on both sides, got 3 and 2"):
        similarity_pairwise(some, some[:2])
