"""Similarity of vectors; pure numpy. Names follow ``sentence_transformers.util``.

Every function takes arrays (n, dim) and (m, dim), or (dim,) for one vector, and gives float32. What is neither float32 nor
float64 is computed as float32: in float16 scores would tie, and in int8 overflow.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from embedrt.errors import InputError

__all__ = [
    "cos_sim",
    "dot_score",
    "euclidean_sim",
    "manhattan_sim",
    "normalized",
    "pairwise_cos_sim",
    "pairwise_dot_score",
    "pairwise_euclidean_sim",
    "pairwise_manhattan_sim",
    "similarity_function",
]

Vectors = npt.NDArray[np.floating]
Scores = npt.NDArray[np.float32]
_SMALLEST_NORM = 1e-12
_BLOCK = 1 << 22  # floats of a broadcast difference held at a time: 16 MB


def normalized(embeddings: Vectors) -> Scores:
    """``embeddings`` (…, dim) at length 1 each; a zero vector stays zero."""
    floats = _floats(embeddings)
    norms = np.linalg.norm(floats, axis=-1, keepdims=True)
    return np.asarray(floats / np.maximum(norms, _SMALLEST_NORM), dtype=np.float32)


def cos_sim(a: Vectors, b: Vectors) -> Scores:
    """Cosine of each row of ``a`` with each row of ``b``, (n, m).

    >>> cos_sim(np.array([[3.0, 4.0]]), np.array([[3.0, 4.0], [-4.0, 3.0]]))
    array([[1., 0.]], dtype=float32)
    """
    return dot_score(normalized(_matrix(a)), normalized(_matrix(b)))


def dot_score(a: Vectors, b: Vectors) -> Scores:
    """Dot product of each row of ``a`` with each row of ``b``, (n, m)."""
    first, second = _same_width(_matrix(a), _matrix(b))
    return np.asarray(first @ second.T, dtype=np.float32)


def euclidean_sim(a: Vectors, b: Vectors) -> Scores:
    """Negative Euclidean distance of each row of ``a`` from each row of ``b``, (n, m)."""
    return _negative_distance(a, b, lambda difference: np.sqrt(np.square(difference).sum(-1)))


def manhattan_sim(a: Vectors, b: Vectors) -> Scores:
    """Negative Manhattan distance of each row of ``a`` from each row of ``b``, (n, m)."""
    return _negative_distance(a, b, lambda difference: np.abs(difference).sum(-1))


def pairwise_cos_sim(a: Vectors, b: Vectors) -> Scores:
    """Cosine of row i of ``a`` with row i of ``b``, (n,)."""
    return pairwise_dot_score(normalized(_matrix(a)), normalized(_matrix(b)))


def pairwise_dot_score(a: Vectors, b: Vectors) -> Scores:
    """Dot product of row i of ``a`` with row i of ``b``, (n,)."""
    first, second = _same_shape(a, b)
    return np.asarray(np.einsum("nd,nd->n", first, second), dtype=np.float32)


def pairwise_euclidean_sim(a: Vectors, b: Vectors) -> Scores:
    """Negative Euclidean distance of row i of ``a`` from row i of ``b``, (n,)."""
    first, second = _same_shape(a, b)
    return np.asarray(-np.linalg.norm(first - second, axis=-1), dtype=np.float32)


def pairwise_manhattan_sim(a: Vectors, b: Vectors) -> Scores:
    """Negative Manhattan distance of row i of ``a`` from row i of ``b``, (n,)."""
    first, second = _same_shape(a, b)
    return np.asarray(-np.abs(first - second).sum(-1), dtype=np.float32)


_FUNCTIONS = {
    "cosine": (cos_sim, pairwise_cos_sim),
    "dot": (dot_score, pairwise_dot_score),
    "euclidean": (euclidean_sim, pairwise_euclidean_sim),
    "manhattan": (manhattan_sim, pairwise_manhattan_sim),
}


def similarity_function(name: str, *, pairwise: bool = False) -> Callable[[Vectors, Vectors], Scores]:
    """The function for a manifest's ``similarity``: cosine, dot, euclidean or manhattan."""
    if name not in _FUNCTIONS:
        raise InputError(f"similarity is {name!r}, expected one of {', '.join(_FUNCTIONS)}")
    return _FUNCTIONS[name][pairwise]


def _floats(vectors: Vectors) -> Vectors:
    array = np.asarray(vectors)
    if array.dtype.kind in "US":
        raise TypeError("texts were passed, expected vectors: pass what encode gives of them")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _matrix(vectors: Vectors) -> Vectors:
    array = _floats(vectors)
    if array.ndim not in (1, 2):
        raise InputError(f"vectors have the shape {array.shape}, expected (n, dim) or (dim,)")
    return array if array.ndim == 2 else array[None, :]


def _same_width(a: Vectors, b: Vectors) -> tuple[Vectors, Vectors]:
    if a.shape[-1] != b.shape[-1]:
        raise InputError(f"vectors of width {a.shape[-1]} cannot be compared with vectors of width {b.shape[-1]}")
    return a, b


def _same_shape(a: Vectors, b: Vectors) -> tuple[Vectors, Vectors]:
    first, second = _matrix(a), _matrix(b)
    if first.shape != second.shape:
        raise InputError(f"pairwise similarity takes two arrays of one shape, got {first.shape} and {second.shape}")
    return first, second


def _negative_distance(a: Vectors, b: Vectors, distance: Callable[[Vectors], Vectors]) -> Scores:
    """-distance of every pair, (n, m), with the broadcast (rows, m, dim) differences held a block at a time."""
    first, second = _same_width(_matrix(a), _matrix(b))
    scores = np.empty((len(first), len(second)), dtype=np.float32)
    step = max(1, _BLOCK // max(1, second.size))
    for at in range(0, len(first), step):
        scores[at : at + step] = -distance(first[at : at + step, None, :] - second[None, :, :])
    return scores
