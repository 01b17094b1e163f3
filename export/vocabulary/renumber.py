"""A tokenizer.json with some of its pieces: what stays keeps its order, and is numbered without gaps."""

import json
from collections.abc import Sequence
from typing import Any

from embedrt_export.vocabulary.merges import kept_merges
from embedrt_export.vocabulary.pieces import Pieces
from tokenizers import Tokenizer

from embedrt.errors import CheckpointError

__all__ = ["renumbered"]


def renumbered(pieces: Pieces, kept: Sequence[int]) -> Tokenizer:
    """The tokenizer of the ids in ``kept``, ascending; its ids are their places there.

    Raises:
        CheckpointError: the library numbers what stays otherwise, as where tokens that were added stand between pieces.
    """
    new = {old: number for number, old in enumerate(kept)}
    content = dict(pieces.content)
    content["model"] = _model(pieces, new)
    content["added_tokens"] = [
        {**token, "id": new[token["id"]]} for token in pieces.content["added_tokens"] if token["id"] in new
    ]
    content["post_processor"] = _post_processor(pieces.content.get("post_processor"), new)
    if padding := pieces.content.get("padding"):
        content["padding"] = {**padding, "pad_id": new.get(padding["pad_id"], 0)}
    tokenizer = Tokenizer.from_str(json.dumps(content))
    _require_numbers(tokenizer, {piece: new[old] for piece, old in pieces.all_ids.items() if old in new})
    return tokenizer


def _model(pieces: Pieces, new: dict[int, int]) -> dict[str, Any]:
    model = dict(pieces.model)
    if pieces.kind == "Unigram":
        model["vocab"] = [entry for old, entry in enumerate(pieces.model["vocab"]) if old in new]
        model["unk_id"] = None if pieces.unknown is None else new[pieces.unknown]
        return model
    ordered = sorted((old, piece) for piece, old in pieces.ids.items() if old in new)
    model["vocab"] = {piece: new[old] for old, piece in ordered}
    if pieces.kind == "BPE":
        model["merges"] = kept_merges(pieces, set(model["vocab"]))
    return model


def _post_processor(part: Any, new: dict[int, int]) -> Any:
    """What puts special tokens around a text, with their new ids."""
    kind = part["type"] if part else None
    if kind == "Sequence":
        return {**part, "processors": [_post_processor(inner, new) for inner in part["processors"]]}
    if kind == "TemplateProcessing":
        tokens = {
            name: {**token, "ids": [new[old] for old in token["ids"]]} for name, token in part["special_tokens"].items()
        }
        return {**part, "special_tokens": tokens}
    if kind in ("BertProcessing", "RobertaProcessing"):
        return {**part, **{role: [part[role][0], new[part[role][1]]] for role in ("cls", "sep")}}
    return part


def _require_numbers(tokenizer: Tokenizer, expected: dict[str, int]) -> None:
    found = tokenizer.get_vocab(with_added_tokens=True)
    if found != expected:
        other = next(piece for piece in expected | found if found.get(piece) != expected.get(piece))
        raise CheckpointError(
            f"the tokenizer cannot be renumbered: {other!r} would be {found.get(other)}, expected {expected.get(other)}. "
            "Tokens that were added stand between its pieces: save it with these at the end"
        )
