"""English text to words in the manner of the Penn Treebank: *can't* is *ca* and *n't*, and punctuation stands alone.

Phrase vocabularies (Google News') were made of words cut like this. The rules work on the text from left to right, one after
another, each setting something apart by spaces; at the end the text is cut at its spaces. Which rules there are, and their
order, is that of NLTK's ``word_tokenize`` (version 3.10) on one line, so that the words, and with them the ids, are the same.
"""

import re
from collections.abc import Iterator

__all__ = ["places_of", "treebank_words"]

_OPENING, _CLOSING = "«“‘„", "»”’"
_ENDS = r"[\])}>\"'" + _CLOSING + " ]"
"""What may stand behind the period that ends a text."""
_CLITIC = "re|ve|ll|m|t|s|d|n"
"""Behind an apostrophe these belong to the word before."""


def _apart(pattern: str) -> tuple[re.Pattern[str], str]:
    """A rule that puts a space on either side of what it finds."""
    return re.compile(pattern), r" \g<0> "


_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # quotation marks that open
    _apart(f"[{_OPENING}]|`+"),
    (re.compile(r'^"'), "``"),
    _apart("``"),
    (re.compile(r"""([ (\[{<])(?:"|'')"""), r"\1 `` "),
    (re.compile(rf"(?i)(?<!\w)'(?!(?:{_CLITIC})\b)(?=\w)"), "' "),
    # punctuation; a period stays with its word unless it ends the text
    (re.compile(rf"([^.])\.({_ENDS}*+)\s*$"), r"\1 . \2 "),
    (re.compile(r"([:,])(\D)"), r" \1 \2"),
    _apart(r"[:,]$"),
    _apart(r"\.{2,}|[;@#$%&]|[\u2012-\u2015]"),
    (re.compile(r"""([^.])\.([\])}>"']*)\s*$"""), r"\1 .\2 "),
    _apart(r"[?!]"),
    (re.compile(r"([^'])' "), r"\1 ' "),
    _apart(r"[*]|[\][(){}<>]|--"),
)
_LATER_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # quotation marks that close; the text has a space at both ends now
    _apart(f"[{_CLOSING}]"),
    (re.compile(r"""''|\""""), " '' "),
    (re.compile(r"\s+"), " "),
    # clitics, then words that are two by origin
    (re.compile(r"([^' ])('[sSmMdD]?) "), r"\1 \2 "),
    (re.compile(r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) "), r"\1 \2 "),
    (re.compile(r"(?i)\b(can)(not)\b"), r" \1 \2 "),
    (re.compile(r"(?i)\b(d)('ye)\b"), r" \1 \2 "),
    (re.compile(r"(?i)\b(gim|lem)(me)\b"), r" \1 \2 "),
    (re.compile(r"(?i)\b(gon)(na)\b"), r" \1 \2 "),
    (re.compile(r"(?i)\b(got)(ta)\b"), r" \1 \2 "),
    (re.compile(r"(?i)\b(more)('n)\b"), r" \1 \2 "),
    (re.compile(r"(?i)\b(wan)(na)(?=\s)"), r" \1 \2 "),
    (re.compile(r"(?i) ('t)(is|was)\b"), r" \1 \2 "),
)


def treebank_words(text: str) -> list[str]:
    """The words of ``text``.

    >>> treebank_words("They said we can't (not yet).")
    ['They', 'said', 'we', 'ca', "n't", '(', 'not', 'yet', ')', '.']
    """
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = f" {text} "
    for pattern, replacement in _LATER_RULES:
        text = pattern.sub(replacement, text)
    return text.split()


def places_of(words: list[str], text: str) -> Iterator[tuple[int, int]]:
    """Where each of ``words`` stands in ``text``, in characters, one behind another; quotation marks changed their form."""
    at = 0
    for word in words:
        forms = (word, '"') if word in ("``", "''") else (word,)
        found = [(text.find(form, at), len(form)) for form in forms]
        start, length = min(((place, size) for place, size in found if place >= 0), default=(at, 0))
        yield start, start + length
        at = start + length
