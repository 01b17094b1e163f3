"""Cutting and storing vectors, against sentence-transformers' quantization and figures done by hand."""

import re
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sentence_transformers.util.quantization import quantize_embeddings as theirs

from embedrt.errors import InputError
from embedrt.vectors import VectorPrecision, quantize_embeddings, truncated

PRECISIONS: list[VectorPrecision] = ["float32", "int8", "uint8", "binary", "ubinary"]
VECTORS = arrays.arrays(
    np.float32, st.tuples(st.integers(2, 6), st.integers(1, 20)), elements=st.floats(-1, 1, width=32)
)
POOR_RANGES = pytest.mark.filterwarnings("ignore:.*poor guess:UserWarning")


def _corpus(rows: int = 120) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((rows, 19)).astype(np.float32)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_corpus_is_stored_as_sentence_transformers_does(precision: VectorPrecision) -> None:
    found, expected = quantize_embeddings(_corpus(), precision), theirs(_corpus(), precision)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@POOR_RANGES
@pytest.mark.parametrize("precision", PRECISIONS)
@settings(deadline=None)
@given(vectors=VECTORS)
def test_any_vectors_are_stored_as_sentence_transformers_does(
    precision: VectorPrecision, vectors: npt.NDArray[np.float32]
) -> None:
    np.testing.assert_array_equal(quantize_embeddings(vectors, precision), theirs(vectors, precision))


@pytest.mark.parametrize("precision", ["int8", "uint8"])
def test_given_ranges_make_the_result_independent_of_company(precision: VectorPrecision) -> None:
    ranges = np.stack([np.full(19, -1), np.full(19, 1)]).astype(np.float32)  # narrower than the vectors: clipped
    together = quantize_embeddings(_corpus(5), precision, ranges=ranges)
    np.testing.assert_array_equal(together, theirs(_corpus(5), precision, ranges=ranges))
    for index, vector in enumerate(_corpus(5)):
        alone = quantize_embeddings(vector[None], precision, ranges=ranges)
        np.testing.assert_array_equal(alone[0], together[index])


def test_figures_by_hand() -> None:
    vectors = np.array(
        [[0.0, 0.0, -127.5], [255.0, 9.0, 127.5], [100.5, -9.0, 0.0], [300.0, 0.5, -200.0]], dtype=np.float32
    )
    ranges = np.array([[0.0, 0.0, -127.5], [255.0, 0.0, 127.5]], dtype=np.float32)
    expected = np.array([[0, 0, 0], [255, 9, 255], [100, 0, 127], [255, 0, 0]])
    stored = quantize_embeddings(vectors, "uint8", ranges=ranges)
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(stored, expected)
    stored = quantize_embeddings(vectors, "int8", ranges=ranges)
    assert stored.dtype == np.int8
    np.testing.assert_array_equal(stored, expected - 128)
    np.testing.assert_array_equal(quantize_embeddings(vectors, "ubinary"), [[0], [224], [128], [192]])
    np.testing.assert_array_equal(quantize_embeddings(vectors, "binary"), [[-128], [96], [0], [64]])


@pytest.mark.parametrize(("precision", "width"), [("int8", 19), ("uint8", 19), ("binary", 3), ("ubinary", 3)])
def test_no_vectors(precision: VectorPrecision, width: int) -> None:
    assert quantize_embeddings(_corpus(0), precision).shape == (0, width)


def test_float32_is_left_alone() -> None:
    vectors = _corpus(1)
    assert quantize_embeddings(vectors, "float32") is vectors


def test_an_unknown_precision_is_named() -> None:
    with pytest.raises(InputError, match="precision is 'int4', expected one of float32, int8, uint8, binary, ubinary"):
        quantize_embeddings(_corpus(), "int4")  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["int8", "uint8"])
def test_one_vector_has_no_range(precision: VectorPrecision) -> None:
    with pytest.raises(InputError, match=r"one vector alone has no range: encode several texts .* or pass `ranges`"):
        quantize_embeddings(_corpus(1), precision)


@pytest.mark.parametrize("precision", ["int8", "uint8"])
def test_the_ranges_of_other_vectors(precision: VectorPrecision) -> None:
    corpus = _corpus()
    expected = theirs(corpus[:3], precision, calibration_embeddings=corpus)
    np.testing.assert_array_equal(quantize_embeddings(corpus[:3], precision, calibration_embeddings=corpus), expected)
    np.testing.assert_array_equal(quantize_embeddings(corpus[0], precision, calibration_embeddings=corpus), expected[0])
    with pytest.raises(InputError, match="one vector alone has no range"):
        quantize_embeddings(corpus[0], precision)


def test_what_is_stored_in_few_bits_already() -> None:
    with pytest.raises(InputError, match="embeddings are int8, expected floats: pass them as encode gives them"):
        quantize_embeddings(np.ones((3, 8), np.int8), "binary")


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("precision", ["int8", "uint8", "binary", "ubinary"])
def test_what_is_no_number_is_not_stored(precision: VectorPrecision, wrong: float) -> None:
    vectors = _corpus()
    vectors[3, 1] = wrong
    with pytest.raises(
        InputError, match=r"^embeddings have NaN or infinity in them.*: leave out rows of which np\.isfin"
    ):
        quantize_embeddings(vectors, precision)
    assert quantize_embeddings(vectors, "float32") is vectors


@pytest.mark.parametrize("shape", [(2, 18), (2, 1), (3, 19), (19,), (19, 2), ()])
def test_ranges_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=rf"^ranges are {re.escape(str(shape))}, expected finite numbers \(2, 19\)"):
        quantize_embeddings(_corpus(), "int8", ranges=np.ones(shape, np.float32))


def test_ranges_of_other_numbers() -> None:
    lists: Any = [[-1.0] * 19, [1.0] * 19]
    expected = quantize_embeddings(_corpus(), "int8", ranges=np.array(lists))
    np.testing.assert_array_equal(quantize_embeddings(_corpus(), "int8", ranges=lists), expected)
    for options in ({"ranges": np.full((2, 19), np.nan)}, {"calibration_embeddings": np.full((120, 19), np.nan)}):
        with pytest.raises(InputError, match=r"^ranges are \(2, 19\), expected finite numbers"):
            quantize_embeddings(_corpus(), "int8", **options)


def test_ranges_whose_ends_are_exchanged() -> None:
    ranges = np.stack([np.full(19, -1, np.float32), np.ones(19, np.float32)])
    ranges[:, 7] = 0.5, -0.5
    message = "ranges have a minimum above the maximum in component 7: 0.5 and -0.5, expected the smallest"
    with pytest.raises(InputError, match=f"^{message}"):
        quantize_embeddings(_corpus(), "int8", ranges=ranges)


def test_calibration_of_another_width() -> None:
    message = "calibration_embeddings are (120, 18), expected the width of the embeddings, which are (5, 19)"
    with pytest.raises(InputError, match=re.escape(message)):
        quantize_embeddings(_corpus(5), "int8", calibration_embeddings=_corpus()[:, :18])


def test_few_vectors_warn_and_many_do_not() -> None:
    with pytest.warns(UserWarning, match=r"the ranges of 99 vectors are a poor guess .*: pass `ranges` \(2, dim\)"):
        quantize_embeddings(_corpus(99), "int8")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quantize_embeddings(_corpus(100), "int8")
        quantize_embeddings(_corpus(3), "ubinary")
        quantize_embeddings(_corpus(3), "int8", ranges=np.array([[-1.0] * 19, [1.0] * 19], dtype=np.float32))
    assert caught == []


@given(VECTORS, st.data())
def test_truncation_keeps_the_first_components(vectors: npt.NDArray[np.float32], data: st.DataObject) -> None:
    dim = data.draw(st.integers(1, vectors.shape[1]))
    found = truncated(vectors, dim)
    np.testing.assert_array_equal(found, vectors[:, :dim])
    assert found.flags.c_contiguous
    assert truncated(vectors, None) is vectors


@pytest.mark.parametrize("dim", [0, -1, 20])
def test_a_width_that_is_not_there_is_named(dim: int) -> None:
    with pytest.raises(InputError, match=f"truncate_dim is {dim}, expected 1 to 19"):
        truncated(_corpus(2), dim)


@pytest.mark.parametrize("dim", [5.0, "5", True])
def test_a_width_that_is_no_whole_number(dim: Any) -> None:
    with pytest.raises(TypeError, match=r"^truncate_dim is a \w+ \(.*\), expected a whole number or None$"):
        truncated(_corpus(2), dim)
