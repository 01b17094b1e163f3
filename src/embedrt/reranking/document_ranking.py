"""Documents in the order of their scores for one query; the names are those of sentence-transformers' ``CrossEncoder.rank``."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import numpy as np
import numpy.typing as npt

from embedrt.arguments import came, require_whole
from embedrt.errors import InputError
from embedrt.reranking.text_pairs import as_documents

__all__ = ["Ranked", "rankable", "ranked"]


class Ranked(TypedDict):
    """A document's place in a ranking."""

    corpus_id: int
    """Its index among the documents."""
    score: float
    text: NotRequired[str]


def rankable(query: object, documents: object, top_k: int | None) -> list[str]:
    """``documents`` as a list of str, where they can be ranked at all.

    Raises:
        TypeError: the query is no str, the documents are no list of str, or ``top_k`` is no whole number.
        InputError: ``top_k`` is below 1.
    """
    if not isinstance(query, str):
        raise TypeError(f"query is a {came(query)}, expected a str")
    texts = as_documents(documents)
    require_whole("top_k", top_k)
    if top_k is not None and top_k < 1:
        raise InputError(f"top_k is {top_k}, expected at least 1, or None for all documents")
    return texts


def ranked(
    scores: npt.NDArray[np.float32], documents: Sequence[str], *, top_k: int | None, return_documents: bool
) -> list[Ranked]:
    """A dict a document, the best first, equal ones in their order: ``corpus_id``, ``score``, and ``text`` if wanted.

    >>> ranked(np.array([0.5, 2.0], np.float32), ["a", "b"], top_k=1, return_documents=True)
    [{'corpus_id': 1, 'score': 2.0, 'text': 'b'}]
    """
    found: list[Ranked] = [
        {"corpus_id": int(index), "score": float(scores[index])} for index in np.argsort(-scores, kind="stable")[:top_k]
    ]
    if return_documents:
        for entry in found:
            entry["text"] = documents[entry["corpus_id"]]
    return found
