"""The rules of a BPE tokenizer, and what comes up on the way from characters to a piece."""

import itertools
from typing import Any

from embedrt_export.vocabulary.pieces import Pieces

__all__ = ["kept_merges", "on_the_way"]

Pair = tuple[str, str]


def on_the_way(pieces: Pieces, wanted: set[int]) -> set[int]:
    """Ids of the characters of every piece in ``wanted``, and of what they are merged into until the piece is there."""
    ranks = {_pair(rule): rank for rank, rule in enumerate(pieces.model["merges"])}
    names = {number: piece for piece, number in pieces.ids.items()}
    found: set[int] = set()
    for number in wanted & names.keys():
        found |= {pieces.ids[part] for part in _parts(names[number], pieces, ranks) if part in pieces.ids}
    return found


def _parts(piece: str, pieces: Pieces, ranks: dict[Pair, int]) -> set[str]:
    parts = _characters(piece, pieces)
    seen = set(parts)
    while len(parts) > 1:
        neighbors = list(itertools.pairwise(parts))
        at = min(range(len(neighbors)), key=lambda index: ranks.get(neighbors[index], len(ranks)))
        if neighbors[at] not in ranks:
            break
        joined = _joined(neighbors[at], pieces.prefix)
        parts[at : at + 2] = [joined]
        seen.add(joined)
    return seen


def _characters(piece: str, pieces: Pieces) -> list[str]:
    """What merging begins with: characters with the marks of their place."""
    bare = pieces.bare(piece)
    parts = list(bare) if bare else [piece]
    if pieces.prefix:
        inside = piece.startswith(pieces.prefix)
        parts = [pieces.prefix + part if index or inside else part for index, part in enumerate(parts)]
    if pieces.suffix and piece.endswith(pieces.suffix):
        parts[-1] += pieces.suffix
    return parts


def _joined(pair: Pair, prefix: str) -> str:
    return pair[0] + (pair[1].removeprefix(prefix) if prefix else pair[1])


def kept_merges(pieces: Pieces, kept: set[str]) -> list[Any]:
    """The rules, in their order, whose two parts and result are among ``kept``."""
    return [
        rule
        for rule in pieces.model["merges"]
        if all(part in kept for part in _pair(rule)) and _joined(_pair(rule), pieces.prefix) in kept
    ]


def _pair(rule: Any) -> Pair:
    """A rule is a list of two since tokenizers 0.20, a string with a space in it before."""
    first, second = rule if isinstance(rule, list) else rule.split(" ")
    return first, second
