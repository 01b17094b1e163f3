"""Pairs for cross-encoders, made of the texts that calibration and fidelity have.

A reranker reads a short query with a document. The opening of a text (its first sentence, or the first half of one that has
one only) stands for the query; its document is by turns the text itself and the next one: half of the pairs belong
together, half do not.
"""

import re
from collections.abc import Sequence

from embedrt.reranking.text_pairs import Pair

__all__ = ["opening", "pairs_of"]

_SENTENCE = re.compile(r".+?(?:[.!?…](?=\s)|[。！？])", re.DOTALL)
_FEWEST_WORDS = 4


def pairs_of(texts: Sequence[str]) -> list[Pair]:
    """One pair a text.

    >>> pairs_of(["It rains. Take a coat.", "How old is the old bridge?"])
    [('It rains.', 'It rains. Take a coat.'), ('How old is', 'It rains. Take a coat.')]
    """
    return [(opening(text), texts[(place + place % 2) % len(texts)]) for place, text in enumerate(texts)]


def opening(text: str) -> str:
    """The first sentence of ``text``, or the first half of a single one: of its words, or of its characters where they are few.

    >>> opening("忘记密码怎么办？旧手机找不到了。"), opening("忘记密码怎么办")
    ('忘记密码怎么办？', '忘记密')
    """
    sentence = _SENTENCE.match(text)
    if sentence and sentence.end() < len(text.rstrip()):
        return sentence[0]
    words = text.split()
    if len(words) < _FEWEST_WORDS:
        return text[: len(text) // 2]
    return " ".join(words[: len(words) // 2])
