"""Compressed rows against dense numpy and scipy."""

import re
import sys

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from embedrt import SparseVector, SparseVectors
from embedrt.errors import InputError, MissingDependencyError


def dense_matrix(seed: int, rows: int, terms: int, share: float) -> npt.NDArray[np.float32]:
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(rows, terms)).astype(np.float32)
    matrix[random.random((rows, terms)) > share] = 0
    return matrix


@given(st.integers(0, 99), st.integers(0, 6), st.integers(1, 30), st.sampled_from([0.0, 0.1, 0.6, 1.0]))
def test_from_dense_and_back(seed: int, rows: int, terms: int, share: float) -> None:
    dense = dense_matrix(seed, rows, terms, share)
    vectors = SparseVectors.from_dense(dense)
    theirs = sparse.csr_matrix(dense)
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(vectors, name), getattr(theirs, name), err_msg=name)
    np.testing.assert_array_equal(vectors.to_dense(), dense)
    np.testing.assert_array_equal(vectors.to_scipy().toarray(), dense)
    kinds = [str(array.dtype) for array in (vectors.data, vectors.indices, vectors.indptr)]
    assert kinds == ["float32", "int32", "int64"]


@given(st.integers(0, 99), st.integers(1, 12))
def test_pruned(seed: int, most: int) -> None:
    """The largest by magnitude; of equal ones those that stand first."""
    dense = np.round(dense_matrix(seed, 5, 12, 0.8) * 2) / 2  # many equal ones
    found = SparseVectors.from_dense(dense).pruned(most).to_dense()
    for row, kept in zip(dense, found, strict=True):
        order = sorted(np.flatnonzero(row), key=lambda term: (-abs(row[term]), term))[:most]
        assert list(np.flatnonzero(kept)) == sorted(order)
        np.testing.assert_array_equal(kept[order], row[order])


def test_rows() -> None:
    dense = dense_matrix(3, 6, 20, 0.3)
    vectors = SparseVectors.from_dense(dense)
    assert len(vectors) == 6
    np.testing.assert_array_equal(vectors[2].to_dense(), dense[2])
    np.testing.assert_array_equal(vectors[-1].to_dense(), dense[-1])
    np.testing.assert_array_equal(vectors[1:4].to_dense(), dense[1:4])
    np.testing.assert_array_equal(vectors[[4, 0, 4]].to_dense(), dense[[4, 0, 4]])
    np.testing.assert_array_equal(vectors[dense[:, 0] > 9].to_dense(), np.empty((0, 20)))
    np.testing.assert_array_equal(np.stack([row.to_dense() for row in vectors]), dense)
    assert vectors.to_dicts() == [{term: float(row[term]) for term in np.flatnonzero(row)} for row in dense]
    with pytest.raises(IndexError):
        vectors[6]


def test_stack() -> None:
    dense = dense_matrix(4, 3, 7, 0.5)
    rows = list(SparseVectors.from_dense(dense))
    np.testing.assert_array_equal(SparseVectors.stack(rows, dimension=7).to_dense(), dense)
    assert SparseVectors.stack([], dimension=7).shape == (0, 7)
    with pytest.raises(InputError, match="a vector of 7 terms cannot be a row of a matrix of 8"):
        SparseVectors.stack(rows, dimension=8)


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    one, two = np.ones(1, np.float32), np.zeros(2, np.int32)
    with pytest.raises(InputError, match="say 1, 2, 1 weights"):
        SparseVectors(one, two, np.array([0, 1]), (1, 5))
    with pytest.raises(InputError, match="indptr has 2 entries for 2 rows"):
        SparseVectors(one, two[:1], np.array([0, 1]), (2, 5))
    with pytest.raises(InputError, match=re.escape("shape (3,), expected (rows, dimension)")):
        SparseVectors.from_dense(np.ones(3))


def test_scipy_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingDependencyError, match="pip install scipy"):
        SparseVector(np.zeros(0, np.int32), np.zeros(0, np.float32), 3).as_matrix().to_scipy()
