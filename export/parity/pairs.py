"""The fixed pairs that every cross-encoder is compared over, made of the texts that have broken sentence encoders before."""

from embedrt_export.parity.texts import PARITY_TEXTS

__all__ = ["PARITY_PAIRS", "pair_name"]

_STRIDE = 7  # prime to the number of texts: each meets another one
_QUERIES = ("How do I reset my password?", "忘记密码怎么办？")
_LONGEST = PARITY_TEXTS[-6:]  # too long for most models: alone, beside a short text, and beside each other

PARITY_PAIRS: tuple[tuple[str, str], ...] = (
    *((text, PARITY_TEXTS[(index * _STRIDE + 3) % len(PARITY_TEXTS)]) for index, text in enumerate(PARITY_TEXTS)),
    *((_QUERIES[index % 2], text) for index, text in enumerate(_LONGEST)),
    *((text, _QUERIES[index // 2 % 2]) for index, text in enumerate(_LONGEST)),
    *zip(_LONGEST, reversed(_LONGEST), strict=True),
    *((query, query) for query in _QUERIES),
    ("", ""),
)
"""Query and document, or the other way round."""


def pair_name(pair: tuple[str, str]) -> str:
    """How a report names a pair.

    >>> pair_name(("How old is it?", "Ten years."))
    'How old is it? | Ten years.'
    """
    return " | ".join(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…" for text in pair)


_SHOWN = 40
