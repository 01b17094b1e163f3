"""Late interaction: scores of queries against documents that have a vector a token; pure numpy.

    MaxSim(q, d) = Σ over vectors u of q of max over vectors v of d of u · v

From ColBERT (Khattab and Zaharia, https://arxiv.org/abs/2004.12832). Documents are laid end to end, one matrix product
gives all products with a block of them, and the maxima are taken over stretches of its rows.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from embedrt.errors import InputError

__all__ = ["MEASURES", "NOTHING_TO_SCORE", "maxsim", "maxsim_pairwise", "mean_maxsim", "mean_maxsim_pairwise"]

TokenVectors = npt.NDArray[np.floating]
Scores = npt.NDArray[np.float32]
Several = TokenVectors | Sequence[TokenVectors]
Measure = Callable[[Several, Several], Scores]

_QUERY_TOKENS, _DOCUMENT_TOKENS = 512, 2048
"""Vectors of a block: their products are 4 MB, which stay in the cache until the maxima are taken."""
NOTHING_TO_SCORE = np.float32(-1e9)
"""sentence-transformers' score of a document without any vector: below every real one."""


def maxsim(queries: Several, documents: Several) -> Scores:
    """MaxSim of each query with each document, (queries, documents).

    Args:
        queries: one array (tokens, dim) a query; a single array is one query.
        documents: the same of documents. One without any vector gets -1e9.

    >>> query, document = np.eye(2, dtype=np.float32), np.array([[0.5, 0.75], [1, 0]], np.float32)
    >>> maxsim(query, [document, document[:1]])
    array([[1.75, 1.25]], dtype=float32)
    """
    asked, stored = _several(queries, "queries"), _several(documents, "documents")
    _same_width([*asked, *stored])
    scores = np.full((len(asked), len(stored)), NOTHING_TO_SCORE)
    scored = [index for index, vectors in enumerate(stored) if len(vectors)]
    for some in _blocks([len(vectors) for vectors in asked], _QUERY_TOKENS):
        rows = np.concatenate([asked[index] for index in some], dtype=np.float32)  # (query tokens, dim)
        starts = _starts([len(asked[index]) for index in some])
        for block in _blocks([len(stored[index]) for index in scored], _DOCUMENT_TOKENS):
            which = [scored[index] for index in block]
            best = _best_of_each(rows, [stored[index] for index in which])  # (documents, query tokens)
            scores[np.ix_(list(some), which)] = _sums(best, starts)
    return scores


def mean_maxsim(queries: Several, documents: Several) -> Scores:
    """:func:`maxsim` divided by how many vectors the query has, (queries, documents)."""
    return maxsim(queries, documents) / _counts(_several(queries, "queries"))[:, None]


def maxsim_pairwise(queries: Several, documents: Several) -> Scores:
    """MaxSim of query i with document i, (n,)."""
    asked, stored = _several(queries, "queries"), _several(documents, "documents")
    if len(asked) != len(stored):
        raise InputError(
            f"{len(asked)} queries and {len(stored)} documents are no pairs: pass as many of one as of the other"
        )
    return np.array([maxsim(*pair)[0, 0] for pair in zip(asked, stored, strict=True)], dtype=np.float32)


def mean_maxsim_pairwise(queries: Several, documents: Several) -> Scores:
    """:func:`maxsim_pairwise` divided by how many vectors the query has, (n,)."""
    return maxsim_pairwise(queries, documents) / _counts(_several(queries, "queries"))


MEASURES: dict[str, tuple[Measure, Measure]] = {
    "maxsim": (maxsim, maxsim_pairwise),
    "meanmaxsim": (mean_maxsim, mean_maxsim_pairwise),
}
"""By the manifest's name: of each with each, and of pairs."""


def _best_of_each(rows: TokenVectors, documents: list[TokenVectors]) -> Scores:
    """The best product of each row with a vector of each document, (documents, rows)."""
    products = np.concatenate(documents, dtype=np.float32) @ rows.T  # (document tokens, rows)
    return np.maximum.reduceat(products, _starts([len(vectors) for vectors in documents]), axis=0)


def _sums(best: Scores, starts: npt.NDArray[np.int64]) -> Scores:
    """``best`` (documents, query tokens) added up over each query's tokens, (queries, documents)."""
    ends = np.append(starts[1:], best.shape[1])
    return np.stack([best[:, first:end].sum(axis=1) for first, end in zip(starts, ends, strict=True)])


def _blocks(lengths: Sequence[int], most: int) -> Iterator[range]:
    """Neighbors whose lengths add up to at most ``most``; a longer one alone."""
    first, total = 0, 0
    for index, length in enumerate(lengths):
        if total + length > most and index > first:
            yield range(first, index)
            first, total = index, 0
        total += length
    if first < len(lengths):
        yield range(first, len(lengths))


def _starts(lengths: Sequence[int]) -> npt.NDArray[np.int64]:
    counts = np.asarray(lengths, dtype=np.int64)
    return np.cumsum(counts) - counts


def _counts(queries: list[TokenVectors]) -> Scores:
    return np.array([max(1, len(vectors)) for vectors in queries], dtype=np.float32)


def _several(vectors: object, name: str) -> list[TokenVectors]:
    """``vectors`` as a list of arrays (tokens, dim).

    Raises:
        TypeError: something else came.
        InputError: an array has another number of axes.
    """
    if isinstance(vectors, np.ndarray):
        vectors = [vectors] if vectors.ndim == 2 else [*vectors]
    if not isinstance(vectors, Sequence) or isinstance(vectors, str):
        raise TypeError(
            f"{name} is a {type(vectors).__name__}, expected a list of arrays (tokens, dim), such as encode_query gives"
        )
    for index, one in enumerate(vectors):
        if not isinstance(one, np.ndarray):
            raise TypeError(f"{name}[{index}] is a {type(one).__name__}, expected an array (tokens, dim)")
        if one.ndim != 2:
            raise InputError(f"{name}[{index}] has the shape {one.shape}, expected (tokens, dim)")
    return list(vectors)


def _same_width(vectors: list[TokenVectors]) -> None:
    widths = {one.shape[1] for one in vectors}
    if len(widths) > 1:
        raise InputError(
            f"vectors are {', '.join(map(str, sorted(widths)))} wide, expected one width: are they of different models?"
        )
