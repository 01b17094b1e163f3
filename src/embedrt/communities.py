"""Groups of similar texts in a collection; pure numpy. The name follows ``sentence_transformers.util``."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from embedrt.arguments import require_positive
from embedrt.errors import InputError
from embedrt.moving import moved
from embedrt.progress import Advance, progress
from embedrt.similarity import normalized

__all__ = ["community_detection"]

Vectors = npt.NDArray[np.floating]
Scores = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
_BLOCK = 1 << 23
"""Cosines that are held at a time: 32 MB."""


@moved({}, ignored=("batch_size",))
def community_detection(
    embeddings: Vectors, *, threshold: float = 0.75, min_community_size: int = 10, show_progress_bar: bool = False
) -> list[list[int]]:
    """Groups of rows whose cosine to a central one is at least ``threshold``, the largest first; no row is in two.

    Rows with the most such neighbours are centers first; what a group has taken is no neighbour of the next. A group begins
    with its center, and the others follow by their cosine to it, equal ones in their order. Memory is bounded by a block of
    cosines, whatever the size of the groups; vectors that are not of length 1 are copied.

    Args:
        embeddings: (n, dim) floats of any length.
        threshold: the smallest cosine.
        min_community_size: members of a group at least, its center included.
        show_progress_bar: a bar on stderr.

    Raises:
        TypeError: ``min_community_size`` is no whole number.
        InputError: ``min_community_size`` is below 1, or vectors are no matrix.

    >>> east, north = [1.0, 0.0], [0.0, 1.0]
    >>> community_detection(np.array([north, east, north, east, [-1.0, 0.0], east]), min_community_size=2)
    [[1, 3, 5], [0, 2]]
    """
    vectors = np.asarray(embeddings)
    if vectors.ndim != 2:
        raise InputError(f"embeddings have the shape {vectors.shape}, expected (n, dim)")
    require_positive("min_community_size", min_community_size, optional=False)
    unit = normalized(vectors)
    with progress(len(unit), shown=show_progress_bar, doing="Comparing") as advance:
        neighbours = _neighbours(unit, np.float32(threshold), advance)
    order = np.argsort(-neighbours, kind="stable")
    centers = order[: np.count_nonzero(neighbours >= min_community_size)]
    found = list(_groups(unit, centers, np.float32(threshold), min_community_size))
    return sorted(found, key=len, reverse=True)


def _neighbours(unit: Scores, threshold: np.float32, advance: Advance) -> Indices:
    """How many rows, itself included, have a cosine of at least ``threshold`` to each row, (n,)."""
    counts = np.zeros(len(unit), np.int64)
    step = _rows_at_a_time(unit)
    for at in range(0, len(unit), step):
        block = unit[at : at + step]
        counts[at : at + step] = np.count_nonzero(block @ unit.T >= threshold, axis=1)
        advance(len(block))
    return counts


def _groups(unit: Scores, centers: Indices, threshold: np.float32, least: int) -> Iterator[list[int]]:
    """The groups around ``centers`` in their order, of rows that no group before has taken."""
    taken = np.zeros(len(unit), np.bool_)
    step = _rows_at_a_time(unit)
    while len(centers := centers[~taken[centers]]):
        some, centers = centers[:step], centers[step:]
        for center, cosines in zip(some, unit[some] @ unit.T, strict=True):
            if taken[center]:
                continue
            members = np.flatnonzero((cosines >= threshold) & ~taken)
            if len(members) >= least:
                members = members[np.argsort(-cosines[members], kind="stable")]
                taken[members] = True
                yield [int(center), *members[members != center].tolist()]


def _rows_at_a_time(unit: Scores) -> int:
    return max(1, _BLOCK // max(1, len(unit)))
