"""Trimming a loaded checkpoint, in place, and the proof that the given texts keep their vectors."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.user_texts import bytes_of, read_texts
from embedrt_export.vocabulary.closure import closure
from embedrt_export.vocabulary.named_ids import named_ids, rename_in_modules
from embedrt_export.vocabulary.pieces import Pieces
from embedrt_export.vocabulary.plain import plain_tokenizer
from embedrt_export.vocabulary.proof import outputs, require_same_outputs
from embedrt_export.vocabulary.renumber import renumbered
from embedrt_export.vocabulary.static_rows import keep_static_rows
from embedrt_export.vocabulary.table import count_positions_from_padding, keep_rows, rename_ids
from embedrt_export.vocabulary.usage import require_same_cuts, usage, words_of
from tokenizers import Tokenizer

from embedrt.errors import CheckpointError
from embedrt.progress import progress

__all__ = ["Trimmed", "keep_tokens", "trim"]

_COMPARED = 64
"""Texts whose vectors are computed before and after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """What came of it."""

    texts: int
    """How many texts the vocabulary was kept for."""
    pieces_before: int
    pieces: int
    bytes_saved: int
    """Of the float32 weights."""
    kept: tuple[int, ...]
    """The old id of each new one."""


def trim(checkpoint: Checkpoint, files: Sequence[Path], *, quiet: bool = False) -> Trimmed:
    """Leave ``checkpoint``, in place, the pieces that the texts of ``files`` need by themselves and behind its prompts.

    Raises:
        InputError: a file cannot be read, is not UTF-8, or none holds a text.
        CheckpointError: the tokenizer exists in Python only, or is of a kind that cannot be trimmed.
        ParityError: a text has another vector than before; this would be a mistake of ours.
    """
    _require_one_table(checkpoint)
    model, before = checkpoint.model, plain_tokenizer(checkpoint)
    pieces = Pieces(json.loads(before.to_str()))
    prompts, size = list(model.prompts.values()), bytes_of(files)
    with progress(size, shown=not quiet, doing="  vocabulary", unit="B") as advance:
        found = usage(before, pieces, read_texts(files), prompts, advance)
    kept = closure(pieces, found.used, always=_always(checkpoint), isolated=_isolated(before, pieces))
    some = _sample(files, found.texts)
    expected = outputs(model, some)
    saved = _apply(checkpoint, pieces, kept)
    with progress(size, shown=not quiet, doing="  check", unit="B") as advance:
        require_same_cuts(before, plain_tokenizer(checkpoint), np.array(kept), read_texts(files), prompts, advance)
    require_same_outputs(expected, outputs(model, some), kept, some)
    return Trimmed(
        texts=found.texts, pieces_before=len(pieces.all_ids), pieces=len(kept), bytes_saved=saved, kept=tuple(kept)
    )


def _require_one_table(checkpoint: Checkpoint) -> None:
    if checkpoint.whole is not None or checkpoint.kind == "words":
        raise CheckpointError(
            "the vocabulary of this checkpoint stands in several places (weights or vectors of words beside the transformer), "
            "which cannot be trimmed: leave out --keep-vocabulary-of"
        )


def keep_tokens(checkpoint: Checkpoint, tokens: Collection[str]) -> None:
    """Leave ``checkpoint`` these tokens, those of an artifact that was trimmed before, and all special ones.

    Raises:
        CheckpointError: it does not have one of them.
    """
    pieces = Pieces(json.loads(plain_tokenizer(checkpoint).to_str()))
    if foreign := sorted(set(tokens) - pieces.all_ids.keys()):
        raise CheckpointError(f"the checkpoint's vocabulary lacks {foreign[0]!r}: it is not the one that was trimmed")
    kept = {pieces.all_ids[token] for token in tokens} | set(pieces.added.values()) | _always(checkpoint)
    _apply(checkpoint, pieces, sorted(kept))


def _always(checkpoint: Checkpoint) -> set[int]:
    """Ids of special tokens, and whatever comes before padding where positions are counted from its id."""
    if isinstance(checkpoint.tokenizer, Tokenizer):
        return set()
    special = {int(number) for number in checkpoint.tokenizer.all_special_ids} | named_ids(checkpoint.model)
    if count_positions_from_padding(checkpoint.transformer):
        special |= set(range(checkpoint.tokenizer.pad_token_id))
    return special


def _isolated(tokenizer: Tokenizer, pieces: Pieces) -> set[str]:
    """Characters that are words of their own wherever they stand, as ideographs and punctuation are to BERT."""
    if not pieces.prefix:
        return set()
    bare = {pieces.bare(piece) for piece in pieces.ids if piece.startswith(pieces.prefix)}
    return {
        character
        for character in bare
        if len(character) == 1
        and not any(character in word[1:] for word in words_of(tokenizer, f"a{character}{character}a"))
    }


def _apply(checkpoint: Checkpoint, pieces: Pieces, kept: Sequence[int]) -> int:
    """Put the smaller tokenizer and table in place; gives the bytes that went."""
    tokenizer, transformer = checkpoint.tokenizer, checkpoint.transformer
    if isinstance(tokenizer, Tokenizer):
        return keep_static_rows(checkpoint.model[0], renumbered(pieces, kept), kept)
    new = {old: number for number, old in enumerate(kept)}
    special = {old: new[old] for old in {*pieces.added.values(), *tokenizer.all_special_ids} if old in new}
    tokenizer._tokenizer = renumbered(pieces, kept)  # noqa: SLF001  the library offers no other way
    saved = keep_rows(transformer, kept)
    rename_ids(transformer, special)
    rename_in_modules(checkpoint.model, new)
    return saved


def _sample(files: Sequence[Path], count: int) -> list[str]:
    """Some of the texts, from all over the files."""
    step = max(1, count // _COMPARED)
    return [text for number, text in enumerate(read_texts(files)) if number % step == 0][:_COMPARED]
