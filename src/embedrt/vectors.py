"""What may be done to finished vectors: cut, normalize, and store in fewer bits; pure numpy."""

import warnings
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from embedrt.arguments import not_finite, require_whole
from embedrt.errors import InputError
from embedrt.similarity import normalized

__all__ = ["VectorPrecision", "finishing", "quantize_embeddings", "require_precision", "require_width", "truncated"]

VectorPrecision = Literal["float32", "int8", "uint8", "binary", "ubinary"]
Floats = npt.NDArray[np.float32]
Stored = npt.NDArray[Any]
"""Of any precision. A function within a function reads its annotations at every call, and this one takes 6 µs to make."""
_KNOWN = get_args(VectorPrecision)
_BUCKETS = 255
_FEW = 100


def truncated(embeddings: Floats, truncate_dim: int | None) -> Floats:
    """The first ``truncate_dim`` components of vectors (…, width) (Matryoshka); all of them for None."""
    embeddings = np.asarray(embeddings)
    require_width(truncate_dim, embeddings.shape[-1])
    return embeddings if truncate_dim is None else np.ascontiguousarray(embeddings[..., :truncate_dim])


def quantize_embeddings(
    embeddings: Floats,
    precision: VectorPrecision,
    *,
    ranges: Floats | None = None,
    calibration_embeddings: Floats | None = None,
) -> Floats | npt.NDArray[np.int8] | npt.NDArray[np.uint8]:
    """Store vectors in 8 bits or 1 bit a component, with the buckets that sentence-transformers uses.

    ``int8`` and ``uint8`` cut each component's range into 255 equal buckets. ``binary`` and ``ubinary`` keep the sign,
    eight components a byte, most significant bit first; ``binary`` is shifted by -128.

    Args:
        embeddings: (n, dim) floats, or (dim,).
        precision: the type to store.
        ranges: (2, dim) smallest and largest value of each component, for int8 and uint8.
        calibration_embeddings: (n, dim) vectors to take the ranges of; None: of ``embeddings``, so that the result depends on
            its company.

    Raises:
        InputError: unknown precision, vectors that are no floats or have NaN or infinity in them, ranges or calibration vectors
            that do not fit them, or int8/uint8 for a single vector without ranges.

    >>> quantize_embeddings(np.array([[0.5, -0.5, 1.0]], dtype=np.float32), "ubinary")
    array([[160]], dtype=uint8)
    """
    require_precision(precision)
    embeddings = np.asarray(embeddings)
    if not np.issubdtype(embeddings.dtype, np.floating):
        raise InputError(f"embeddings are {embeddings.dtype}, expected floats: pass them as encode gives them")
    if precision == "float32":
        return embeddings
    if not np.isfinite(embeddings).all():
        raise not_finite("embeddings", so="which no few bits hold")
    if precision in ("binary", "ubinary"):
        packed = np.packbits(embeddings > 0, axis=-1)
        return packed if precision == "ubinary" else (packed.astype(np.int16) - 128).astype(np.int8)
    if ranges is None:
        given = embeddings if calibration_embeddings is None else np.asarray(calibration_embeddings)
        if given.shape[-1:] != embeddings.shape[-1:]:
            raise InputError(
                f"calibration_embeddings are {given.shape}, expected the width of the embeddings, which are {embeddings.shape}"
            )
        ranges = _ranges(given)
    low, step = _buckets(np.asarray(ranges), embeddings.shape[-1])
    buckets: Floats = np.clip(np.floor((embeddings - low) / step), 0, _BUCKETS)
    return buckets.astype(np.uint8) if precision == "uint8" else (buckets - 128).astype(np.int8)


def finishing(
    dimension: int, precision: VectorPrecision, normalize: bool | None, dim: int | None
) -> Callable[[Floats], Stored]:
    """What is done with (n, ``dimension``) vectors of a graph: cut to ``dim``, normalized, stored in ``precision``.

    Raises:
        InputError: an unknown precision, or a width that is not there; here already, before anything was encoded.
    """
    require_precision(precision)
    require_width(dim, dimension)
    if precision == "float32" and dim is None and not normalize:
        return _as_they_are

    def finish(vectors: Floats) -> Stored:
        cut = truncated(vectors, dim)
        return quantize_embeddings(normalized(cut) if normalize else cut, precision)

    return finish


def _as_they_are(vectors: Floats) -> Stored:
    return vectors


def require_precision(precision: str) -> None:
    """Refuse a precision that is unknown.

    Raises:
        InputError: it is.
    """
    if precision not in _KNOWN:
        raise InputError(f"precision is {precision!r}, expected one of {', '.join(_KNOWN)}")


def require_width(dim: int | None, dimension: int) -> None:
    """Refuse to cut vectors to a width that they have not; None cuts nothing.

    Raises:
        TypeError: it is no whole number.
        InputError: it is below 1, or above ``dimension``.
    """
    require_whole("truncate_dim", dim)
    if dim is not None and not 0 < dim <= dimension:
        raise InputError(f"truncate_dim is {dim}, expected 1 to {dimension}")


def _ranges(embeddings: Floats) -> Floats:
    """Smallest and largest value of each component, (2, dim)."""
    if len(embeddings) == 0:
        return np.zeros((2, embeddings.shape[-1]), dtype=np.float32)
    if len(embeddings) == 1 or embeddings.ndim == 1:
        raise InputError(
            "one vector alone has no range: encode several texts for int8 and uint8, or pass `ranges` (2, dim)"
        )
    if len(embeddings) < _FEW:
        warnings.warn(
            f"the ranges of {len(embeddings)} vectors are a poor guess of those of a corpus: pass `ranges` (2, dim)",
            stacklevel=4,
        )
    return np.stack([embeddings.min(axis=0), embeddings.max(axis=0)])


def _buckets(ranges: Floats, dim: int) -> tuple[Floats, Floats]:
    """Lower end and width of a bucket, each (dim,)."""
    if ranges.shape != (2, dim) or not np.isfinite(ranges).all():
        raise InputError(
            f"ranges are {ranges.shape}, expected finite numbers (2, {dim}): the smallest and the largest of each component"
        )
    if (wrong := np.flatnonzero(ranges[0] > ranges[1])).size:
        raise InputError(
            f"ranges have a minimum above the maximum in component {wrong[0]}: {ranges[0, wrong[0]]} and "
            f"{ranges[1, wrong[0]]}, expected the smallest of each in the first row, the largest in the second"
        )
    low: Floats = ranges[0].astype(np.float32)
    step: Floats = (ranges[1].astype(np.float32) - low) / np.float32(_BUCKETS)
    return low, np.where(step == 0, np.float32(1), step)
