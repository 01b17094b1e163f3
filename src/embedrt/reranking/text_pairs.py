"""Pairs of texts as callers pass them, made into a list; a flat list of two texts is one pair, as in sentence-transformers."""

from collections.abc import Sequence

import numpy as np

from embedrt.arguments import came, how_to_list
from embedrt.errors import InputError

__all__ = ["Pair", "as_documents", "as_pairs"]

Pair = tuple[str, str]
"""Query and document, or two sentences."""
_EXPECTED = "expected [text, text], or a list of such pairs"


def as_pairs(inputs: object) -> tuple[list[Pair], bool]:
    """``inputs`` as pairs, and whether it was one pair by itself.

    Raises:
        TypeError: it is anything but pairs of str.
        InputError: something in it has not two texts.

    >>> as_pairs(["How old is it?", "Ten years."])
    ([('How old is it?', 'Ten years.')], True)
    >>> as_pairs([("a", "b"), ["c", "d"]])
    ([('a', 'b'), ('c', 'd')], False)
    """
    if isinstance(inputs, np.ndarray) and inputs.ndim > 0:
        inputs = inputs.tolist()
    if isinstance(inputs, str | bytes | bytearray) or not isinstance(inputs, Sequence):
        raise TypeError(f"inputs is a {came(inputs)}, {_EXPECTED}{how_to_list(inputs)}")
    if len(inputs) == 0:
        return [], False
    if isinstance(inputs[0], list | tuple):
        return [_pair(item, f"inputs[{index}]") for index, item in enumerate(inputs)], False
    return [_pair(inputs, "inputs")], True


def _pair(item: object, name: str) -> Pair:
    if not isinstance(item, list | tuple) and (name != "inputs" or not isinstance(item, Sequence)):
        raise TypeError(f"{name} is a {came(item)}, expected a pair of texts")
    for place, text in enumerate(item):
        if not isinstance(text, str):
            raise TypeError(f"{name}[{place}] is a {came(text)}, expected a str")
    if len(item) != 2:
        raise InputError(f"{name} holds {len(item)} texts, {_EXPECTED if name == 'inputs' else 'expected two'}")
    return item[0], item[1]


def as_documents(documents: object) -> list[str]:
    """``documents`` as a list of str.

    Raises:
        TypeError: it is a single str, or holds something else.
    """
    if isinstance(documents, np.ndarray) and documents.ndim > 0:
        documents = documents.tolist()
    if isinstance(documents, str | bytes | bytearray) or not isinstance(documents, Sequence):
        advice = how_to_list(documents) or ": pass [text] for one"
        raise TypeError(f"documents is a {came(documents)}, expected a list of str{advice}")
    for index, text in enumerate(documents):
        if not isinstance(text, str):
            raise TypeError(f"documents[{index}] is a {came(text)}, expected a str")
    return list(documents)
