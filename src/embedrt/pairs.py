"""The most similar pairs of a collection: all n·(n-1)/2 compared, the best returned exactly; pure numpy.

Rows meet the columns to their right in blocks, each a float32 matrix product into one buffer. A block whose highest product
is below the last of the best pairs so far is done with after one look, which is nearly every block. What is above, less
the most that float32 arithmetic can be wrong by, goes to :mod:`embedrt.ranking`, which scores it exactly.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from embedrt.arguments import not_finite, require_positive
from embedrt.errors import InputError
from embedrt.in_role import Encodes
from embedrt.moving import moved
from embedrt.progress import Advance
from embedrt.ranking import NO_COSINE, SMALLEST_LENGTH, Ranking, Vectors, lengths

__all__ = ["Pairs", "most_similar_pairs", "pair_count", "paraphrase_mining", "paraphrase_mining_embeddings"]

_BLOCK = (1024, 4096)  # 16 MB of products; long enough for BLAS threads to share, small enough for the cache
_ROUNDING = 2.0**-24  # the relative error of one float32 operation
_NEARLY_ONE = 32 * _ROUNDING  # how far the length of a vector that counts as normalized may be from 1
_NO_PAIR = 2 * NO_COSINE  # in the place of a pair that is counted elsewhere: below every limit
_SPARE = 80  # roundings besides those of the dot product: lengths, normalizing, the score that is compared with


class Pairs(NamedTuple):
    """Pairs first < second of a collection, most similar first; equal scores in the order of (first, second)."""

    scores: npt.NDArray[np.float32]
    """(k,) cosines, computed in float64 and rounded."""

    first: npt.NDArray[np.int64]
    """(k,) indices of the pairs' first members."""

    second: npt.NDArray[np.int64]
    """(k,) indices of the pairs' second members."""


def pair_count(texts: int) -> int:
    """Pairs among so many texts."""
    return texts * (texts - 1) // 2


def most_similar_pairs(
    vectors: Vectors,
    *,
    top: int = 100,
    min_score: float | None = None,
    block: tuple[int, int] = _BLOCK,
    advance: Advance | None = None,
) -> Pairs:
    """The ``top`` pairs of rows with the highest cosine; fewer where there are fewer, or fewer reach ``min_score``.

    The answer is that of comparing every pair by itself; ``block`` has no influence on it. Memory: a block, some 40 bytes a
    pair of ``top``, and a float32 copy of vectors that are not of length 1.

    Args:
        vectors: (n, dim) floats of any length; a zero vector has the cosine 0 with everything.
        top: pairs to return.
        min_score: the smallest cosine to return, as float32.
        block: rows and columns that are multiplied at a time.
        advance: told how many pairs more were compared.

    Raises:
        InputError: a value that cannot be used; vectors with NaN or infinity, of which the first is named.

    >>> scores, first, second = most_similar_pairs(np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), top=2)
    >>> [(float(score), int(i), int(j)) for score, i, j in zip(scores, first, second)]
    [(0.800000011920929, 1, 2), (0.6000000238418579, 0, 1)]
    """
    vectors = np.asarray(vectors)  # a memory-mapped array stays one
    _require_usable(vectors, top, min_score, block)
    norms = lengths(vectors)
    _require_finite(norms)
    count = pair_count(len(vectors))
    least = NO_COSINE if min_score is None else min_score
    ranking = Ranking(vectors, norms, top=max(1, min(top, count)), least=least)
    if count:
        _compare(_normalized(vectors, norms), ranking, block, advance or (lambda _count: None))
    return Pairs(*ranking.result())


_CHUNKS = ("query_chunk_size", "corpus_chunk_size")
_NEIGHBOURS = {
    "top_k": "all pairs are compared, so none is left out for a text's having many neighbours: leave it out",
    "score_function": "pairs are compared by their cosine: leave it out",
}


@moved(_NEIGHBOURS, ignored=_CHUNKS)
def paraphrase_mining(
    model: Encodes,
    sentences: Sequence[str],
    *,
    show_progress_bar: bool = False,
    batch_size: int | None = None,
    max_pairs: int = 500_000,
    truncate_dim: int | None = None,
    prompt_name: str | None = None,
    prompt: str | None = None,
) -> list[tuple[float, int, int]]:
    """The most similar pairs of ``sentences``, by the vectors of ``model``: :func:`paraphrase_mining_embeddings` of them.

    Args:
        model: a ``SentenceEncoder``.
        sentences: texts.
        show_progress_bar: a bar on stderr.
        batch_size: as for ``encode``, like everything below but ``max_pairs``.
        max_pairs: pairs to return.
        truncate_dim: keep the first so many components.
        prompt_name: which of the model's prompts is put before each text.
        prompt: a text that is put there.

    Raises:
        TypeError: ``max_pairs`` is no whole number.
        InputError: it is below 1.
    """
    require_positive("max_pairs", max_pairs, optional=False)
    vectors = model.encode(
        sentences,
        show_progress_bar=show_progress_bar,
        batch_size=batch_size,
        truncate_dim=truncate_dim,
        prompt_name=prompt_name,
        prompt=prompt,
    )
    return paraphrase_mining_embeddings(vectors, max_pairs=max_pairs)


@moved(_NEIGHBOURS, ignored=_CHUNKS)
def paraphrase_mining_embeddings(embeddings: Vectors, *, max_pairs: int = 500_000) -> list[tuple[float, int, int]]:
    """:func:`most_similar_pairs` under sentence-transformers' name and in its form: (score, first, second) a pair.

    The search is exact: a text is never left out for having more than ``top_k`` neighbours.

    Raises:
        TypeError: ``max_pairs`` is no whole number.
        InputError: it is below 1, or as :func:`most_similar_pairs`.
    """
    require_positive("max_pairs", max_pairs, optional=False)
    scores, first, second = most_similar_pairs(embeddings, top=max_pairs)
    return list(zip(scores.tolist(), first.tolist(), second.tolist(), strict=True))


def _compare(unit: npt.NDArray[np.float32], ranking: Ranking, block: tuple[int, int], advance: Advance) -> None:
    """Offer to ``ranking`` every pair of the (n, dim) vectors of length 1 that may be among the best."""
    margin = (unit.shape[1] + _SPARE) * _ROUNDING
    buffer = np.empty(block[0] * min(block[1], len(unit)), dtype=np.float32)
    for rows, columns in _blocks(len(unit), *block):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        below = _below_diagonal(rows, columns)  # (height, overlap)
        if not ranking.is_closed_from(rows.start, columns.start):
            products = buffer[: height * width].reshape(height, width)
            np.matmul(unit[rows], unit[columns].T, out=products)
            np.copyto(products[:, : below.shape[1]], _NO_PAIR, where=below)
            found = _candidates(products, ranking.limit - margin, top=ranking.top, margin=margin)
            ranking.offer(rows.start + found // width, columns.start + found % width)
        advance(height * width - np.count_nonzero(below))


def _blocks(count: int, height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Rows, and the columns from their diagonal to the right, in order."""
    for top in range(0, count, height):
        rows = slice(top, min(top + height, count))
        for left in range(top, count, width):
            yield rows, slice(left, min(left + width, count))


def _below_diagonal(rows: slice, columns: slice) -> npt.NDArray[np.bool_]:
    """Which members of a block's first columns are no pair of their own, second <= first: (height, overlap), often 0 wide."""
    overlap = max(0, min(columns.stop, rows.stop) - columns.start)
    return np.tri(rows.stop - rows.start, overlap, rows.start - columns.start, dtype=np.bool_)


def _candidates(products: npt.NDArray[np.float32], limit: float, *, top: int, margin: float) -> npt.NDArray[np.int64]:
    """Flat indices, ascending, of the (height, width) products that may be among the ``top`` best."""
    if products.max() < limit:
        return np.empty(0, dtype=np.int64)
    found = np.flatnonzero(products >= limit)
    if len(found) > top:
        values = products.ravel()[found]
        last = np.partition(values, -top)[-top]
        found = found[values >= last - 2 * margin]
    return found


def _normalized(vectors: Vectors, norms: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The vectors at length 1 as float32 (n, dim): themselves where they nearly are, or zero."""
    small = norms <= SMALLEST_LENGTH
    nearly = np.abs(norms[~small] - 1).max(initial=0) <= _NEARLY_ONE
    if vectors.dtype == np.float32 and nearly and not vectors[small].any():
        return vectors
    unit = np.empty(vectors.shape, dtype=np.float32)
    step = _BLOCK[1]
    for at in range(0, len(vectors), step):
        np.divide(
            vectors[at : at + step],
            np.maximum(norms[at : at + step, None], np.finfo(np.float32).tiny),
            out=unit[at : at + step],
            casting="same_kind",
        )
    return unit


def _require_usable(vectors: Vectors, top: int, min_score: float | None, block: tuple[int, int]) -> None:
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise InputError(f"vectors are {vectors.dtype} of shape {vectors.shape}, expected floats of shape (n, dim)")
    require_positive("top", top, optional=False)
    if min_score is not None and not -1 <= min_score <= 1:
        raise InputError(f"min_score is {min_score}, expected a cosine from -1 to 1")
    if min(block) < 1:
        raise InputError(f"block is {block}, expected at least 1 row and 1 column")


def _require_finite(norms: npt.NDArray[np.float64]) -> None:
    bad = np.flatnonzero(~np.isfinite(norms))
    if len(bad):
        raise not_finite("vectors", so=f"{len(bad)} of {len(norms)}, vector {bad[0]} first")
