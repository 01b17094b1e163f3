"""Which pieces must stay so that the given texts are cut as before, for each of the tokenizer models.

U are the pieces that the texts are cut into, K ⊇ U those that stay, V all. Added tokens, special tokens and byte pieces are
always in K, so texts are split and bytes fall back as before.

**WordPiece** takes the longest prefix of a word that is in V, again and again. The longest one in K is no longer than that in
V, and that one is in U: the same. A word that cannot be cut to its end becomes unknown as a whole, and U does not show the
prefixes that led there; they are added, so that it fails at the same place.

**BPE** merges, of all neighbours that a rule joins, those of the rule with the lowest rank. K holds all that came up on the way
to a piece of U, and every rule of V stays whose two parts and result are in K. At each step the rule that V takes is there, and
K has no rule that V has not: the same step. (The way to a piece depends on nothing outside of it: a rule that joined it with a
neighbour's part would have made another piece.)

**Unigram** takes the path of the largest sum of scores through all pieces that match somewhere. With K the paths are some of
those with V, at the same scores, and the best one of V is among them, provided that unknown characters score the same: they
are those without a piece of their own (so single characters of the texts stay), and score ten less than the piece with the
smallest score (so that piece stays).

**WordLevel** looks words up.

For texts that are not given, pieces of single characters stay too, of all scripts that occur in U.
"""

from collections.abc import Collection, Iterable

from embedrt_export.vocabulary.characters import is_kept_anyway, script, scripts_of
from embedrt_export.vocabulary.merges import on_the_way
from embedrt_export.vocabulary.pieces import Pieces

__all__ = ["closure", "prefixes_tried"]

_WORD_START = "▁"
"""What SentencePiece writes for a space; by itself it is the path of last resort."""


def closure(pieces: Pieces, used: set[int], *, always: Iterable[int] = (), isolated: Collection[str] = ()) -> list[int]:
    """Ids that stay, ascending.

    Args:
        pieces: all pieces.
        used: ids that the texts are cut into; for WordPiece with :func:`prefixes_tried` of unknown words.
        always: further ids, such as those of special tokens.
        isolated: characters that are words of their own, so that no piece inside of a word is ever one of them.
    """
    kept = used | set(pieces.added.values()) | pieces.of_bytes() | set(always)
    if pieces.unknown is not None:
        kept.add(pieces.unknown)
    kept |= _single_characters(pieces, used, isolated)
    if pieces.kind == "BPE":
        kept |= on_the_way(pieces, kept)
    if pieces.kind == "Unigram":
        kept.add(_smallest_score(pieces))
    return sorted(kept)


def _single_characters(pieces: Pieces, used: set[int], isolated: Collection[str]) -> set[int]:
    """Pieces of one character each, of the scripts that occur in ``used``."""
    names = {number: piece for piece, number in pieces.ids.items()}
    if pieces.is_byte_level:
        return {number for number, piece in names.items() if len(pieces.bare(piece)) == 1}
    characters = {character for number in used if number in names for character in pieces.bare(names[number])}
    scripts = scripts_of(characters)
    kept = set()
    for piece, number in pieces.ids.items():
        bare = pieces.bare(piece)
        if len(bare) != 1 or (piece != bare and bare in isolated):
            continue
        if bare == _WORD_START or is_kept_anyway(bare) or script(bare) in scripts:
            kept.add(number)
    return kept


def _smallest_score(pieces: Pieces) -> int:
    """The first piece that has it."""
    scores = [score for _, score in pieces.model["vocab"]]
    return scores.index(min(scores))


def prefixes_tried(pieces: Pieces, word: str) -> set[int]:
    """The pieces that WordPiece takes of ``word`` until it can go on no more, or to its end."""
    found, start = set(), 0
    if len(word) > pieces.model.get("max_input_chars_per_word", 100):
        return set()
    while start < len(word):
        mark = pieces.prefix if start else ""
        ends = range(len(word), start, -1)
        end = next((end for end in ends if mark + word[start:end] in pieces.ids), None)
        if end is None:
            break
        found.add(pieces.ids[mark + word[start:end]])
        start = end
    return found
