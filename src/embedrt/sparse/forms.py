"""Sparse vectors as vector databases take them in JSON, one text at a time.

    qdrant           {"indices": [7, 1045], "values": [0.5, 1.25]}     the sparse vector of a point
    milvus           {"7": 0.5, "1045": 1.25}                          a field of type SPARSE_FLOAT_VECTOR
    elasticsearch    {"how": 0.5, "password": 1.25}                    a field of type sparse_vector or rank_features

Elasticsearch and OpenSearch take terms by name, above 0 alone, and no dot in a name.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args

from embedrt.errors import InputError
from embedrt.sparse.vectors import SparseVector

__all__ = ["FORMS", "Form", "in_form"]

Form = Literal["qdrant", "milvus", "elasticsearch"]
FORMS: tuple[Form, ...] = get_args(Form)
_DOT = "[dot]"
"""What stands for a dot in a name."""


def in_form(vector: SparseVector, form: Form, word: Callable[[int], str]) -> dict[Any, Any]:
    """``vector`` as a database takes it; ``word`` names a term.

    Raises:
        InputError: an unknown form, or a vector that the database would refuse.
    """
    if form not in FORMS:
        raise InputError(f"format is {form!r}, expected one of {', '.join(FORMS)}")
    if form == "qdrant":
        return {"indices": vector.indices.tolist(), "values": vector.values.tolist()}
    if form == "milvus":
        return {str(term): weight for term, weight in vector.to_dict().items()}
    return _by_name(vector, word)


def _by_name(vector: SparseVector, word: Callable[[int], str]) -> dict[str, float]:
    weights = {word(term).replace(".", _DOT): weight for term, weight in vector.to_dict().items()}
    if below := [f"{name} {weight:g}" for name, weight in weights.items() if not weight > 0]:
        raise InputError(
            f"Elasticsearch takes weights above 0 alone, and a term has another: {below[0]}. Use another format"
        )
    if len(weights) < len(vector.indices):
        raise InputError(
            "two terms of the vocabulary have one name, which Elasticsearch cannot tell apart: use another format"
        )
    return weights
