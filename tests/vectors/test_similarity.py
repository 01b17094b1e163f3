"""Similarity against sentence-transformers' own functions, and against figures done by hand."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sentence_transformers import util

from embedrt import similarity
from embedrt.errors import InputError

Function = Callable[..., npt.NDArray[np.float32]]
NAMES = ["cos_sim", "dot_score", "euclidean_sim", "manhattan_sim"]
COMPONENTS = st.floats(-8, 8, width=32).filter(lambda value: value == 0 or abs(value) > 1e-3)


def _ours(name: str) -> Function:
    function: Function = getattr(similarity, name)
    return function


def _theirs(name: str, a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    result: npt.NDArray[np.float32] = getattr(util, name)(a, b).numpy()
    return result


@st.composite
def matrices(draw: st.DrawFn) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    width = draw(st.integers(1, 9))
    shapes = [(draw(st.integers(1, 6)), width) for _ in range(2)]
    first, second = [draw(arrays.arrays(np.float32, shape, elements=COMPONENTS)) for shape in shapes]
    return first, second


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None)
@given(pair=matrices())
def test_all_pairs_agree_with_sentence_transformers(
    name: str, pair: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
) -> None:
    found = _ours(name)(*pair)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, _theirs(name, *pair), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None)
@given(pair=matrices())
def test_rows_agree_with_sentence_transformers(
    name: str, pair: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
) -> None:
    rows = min(map(len, pair))
    first, second = pair[0][:rows], pair[1][:rows]
    found = _ours(f"pairwise_{name}")(first, second)
    assert (found.dtype, found.shape) == (np.dtype(np.float32), (rows,))
    np.testing.assert_allclose(found, _theirs(f"pairwise_{name}", first, second), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found, np.diag(_ours(name)(first, second)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cos_sim", [[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
        ("dot_score", [[25.0, 0.0, -50.0], [0.0, 25.0, 0.0]]),
        ("euclidean_sim", [[0.0, -np.sqrt(50), -15.0], [-np.sqrt(50), 0.0, -np.sqrt(125)]]),
        ("manhattan_sim", [[0.0, -8.0, -21.0], [-8.0, 0.0, -13.0]]),
    ],
)
def test_figures_by_hand(name: str, expected: list[list[float]]) -> None:
    first = np.array([[3.0, 4.0], [-4.0, 3.0]])
    second = np.array([[3.0, 4.0], [-4.0, 3.0], [-6.0, -8.0]])
    np.testing.assert_allclose(_ours(name)(first, second), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(_ours(f"pairwise_{name}")(first, second[:2]), np.diag(expected), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_one_vector_is_a_matrix_of_one_row(name: str) -> None:
    vector, matrix = np.array([1.0, 2.0]), np.array([[0.5, 1.0], [2.0, -1.0]])
    np.testing.assert_array_equal(_ours(name)(vector, matrix), _ours(name)(vector[None], matrix))
    assert _ours(name)(vector, vector).shape == (1, 1)
    assert _ours(f"pairwise_{name}")(vector, vector).shape == (1,)
    assert _ours(name)(np.empty((0, 2)), matrix).shape == (0, 2)


def test_a_zero_vector_is_similar_to_nothing() -> None:
    zero, vector = np.zeros((1, 4)), np.ones((1, 4))
    np.testing.assert_array_equal(similarity.cos_sim(zero, vector), [[0]])
    np.testing.assert_array_equal(similarity.normalized(zero), zero)


@given(arrays.arrays(np.float32, (3, 5), elements=COMPONENTS))
def test_normalized_vectors_have_length_1_and_the_same_direction(vectors: npt.NDArray[np.float32]) -> None:
    found = similarity.normalized(vectors)
    lengths = np.sqrt(np.square(vectors.astype(np.float64)).sum(1))
    np.testing.assert_allclose(found * lengths[:, None], vectors, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1)[lengths > 0], 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["euclidean_sim", "manhattan_sim"])
@pytest.mark.parametrize("block", [1, 40, 100])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, name: str, block: int) -> None:
    first, second = np.random.default_rng(0).standard_normal((2, 7, 5)).astype(np.float32)
    whole = _ours(name)(first, second)
    monkeypatch.setattr(similarity, "_BLOCK", block)
    np.testing.assert_array_equal(_ours(name)(first, second), whole)


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_the_manifest_names_the_function(name: str) -> None:
    full = {"cosine": "cos_sim", "dot": "dot_score"}.get(name, f"{name}_sim")
    assert similarity.similarity_function(name) is _ours(full)
    assert similarity.similarity_function(name, pairwise=True) is _ours(f"pairwise_{full}")


def test_an_unknown_function_is_named() -> None:
    with pytest.raises(InputError, match="similarity is 'l2', expected one of cosine, dot, euclidean, manhattan"):
        similarity.similarity_function("l2")


@pytest.mark.parametrize("name", NAMES)
def test_widths_and_shapes_that_do_not_fit_are_named(name: str) -> None:
    with pytest.raises(InputError, match="width 3 cannot be compared with vectors of width 4"):
        _ours(name)(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(InputError, match=r"expected \(n, dim\) or \(dim,\)"):
        _ours(name)(np.ones((1, 2, 3)), np.ones((2, 3)))
    with pytest.raises(InputError, match=r"one shape, got \(2, 3\) and \(1, 3\)"):
        _ours(f"pairwise_{name}")(np.ones((2, 3)), np.ones((1, 3)))
    with pytest.raises(TypeError, match="texts were passed, expected vectors: pass what encode gives of them"):
        _ours(name)(["a cat"], ["a mat"])


@pytest.mark.parametrize("dtype", [np.float16, np.int8])
@pytest.mark.parametrize("name", [*NAMES, *(f"pairwise_{name}" for name in NAMES)])
def test_stored_in_fewer_bits(name: str, dtype: type[np.generic]) -> None:
    numbers = np.random.default_rng(0)
    first, second = (numbers.uniform(-120, 120, (5, 64)).astype(dtype) for _ in range(2))
    found = _ours(name)(first, second)
    np.testing.assert_array_equal(found, _ours(name)(first.astype(np.float32), second.astype(np.float32)))
    assert len(np.unique(found)) == found.size


def test_a_zero_vector_in_half_precision() -> None:
    assert _ours("cos_sim")(np.zeros(4, np.float16), np.ones(4, np.float16)).tolist() == [[0.0]]
