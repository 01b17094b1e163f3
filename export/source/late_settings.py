"""What a multi-vector checkpoint does to queries and documents on the host, as the manifest has it."""

from typing import Any

from embedrt_export.checkpoint import Checkpoint
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

from embedrt.artifact.kinds import Expansion, MultiVector
from embedrt.errors import CheckpointError

__all__ = ["late_settings"]


def late_settings(checkpoint: Checkpoint) -> MultiVector:
    """Lengths, expansion and skipped tokens, as sentence-transformers applies them.

    Raises:
        CheckpointError: queries are expanded where padding is on the left, or masked more than once.
    """
    transformer, mask = checkpoint.model[0], _mask(checkpoint)
    expansion = _expansion(checkpoint, scored=mask is not None)
    if mask is not None:
        mask.resolve_with_tokenizer(
            checkpoint.tokenizer
        )  # a trimmed vocabulary has other ids than the one that was loaded
    skip = getattr(mask, "_skiplist_ids", None)
    return MultiVector(
        dimension=int(checkpoint.model.get_embedding_dimension()),
        similarity=str(checkpoint.model.similarity_fn_name),
        query_length=_within(checkpoint, _query_length(transformer)),
        document_length=_within(checkpoint, transformer.document_length),
        text_length=checkpoint.max_seq_length,
        expansion=expansion,
        skip_ids=() if skip is None else tuple(sorted(set(skip.tolist()))),
        skip_roles=("document",) if mask is None else tuple(mask.skiplist_tasks),
        keep_ids=() if mask is None else tuple(mask.keep_only_token_ids or ()),
    )


def _mask(checkpoint: Checkpoint) -> Any:
    """The MultiVectorMask; None where there is none, so that every token counts."""
    masks = [module for module in checkpoint.model if isinstance(module, MultiVectorMask)]
    if len(masks) > 1:
        raise CheckpointError(f"modules.json lists {len(masks)} modules MultiVectorMask; the exporter takes one")
    return masks[0] if masks else None


def _query_length(transformer: Any) -> int | None:
    """What a query is cut at: the expanded length, a length of its own, or what every text is cut at."""
    expansion = transformer.query_expansion
    if expansion is None:
        return _number(transformer.query_length)
    if expansion["strategy"] == "fixed":
        return int(expansion["length"])
    own = _number(transformer.query_length)
    return None if own is None else max(own, int(expansion["length"]))


def _number(length: Any) -> int | None:
    return None if length is None else int(length)


def _within(checkpoint: Checkpoint, length: int | None) -> int | None:
    """``length``, or the model's own where there is none, and no more than there are positions."""
    if length is None:
        return checkpoint.max_seq_length
    return length if checkpoint.positions is None else min(length, checkpoint.positions)


def _expansion(checkpoint: Checkpoint, *, scored: bool) -> Expansion | None:
    wanted = checkpoint.model[0].query_expansion
    if wanted is None or not (scored or wanted["attend"]):
        return None  # nothing sees or scores what would be added
    if checkpoint.padding_side == "left":
        raise CheckpointError(
            "query_expansion is set and the tokenizer pads on the left, so that expansion tokens would stand before the query; "
            "the exporter takes them behind it: set padding_side to right in tokenizer_config.json if the model was trained so"
        )
    length = int(wanted["length"])
    if checkpoint.positions is not None and length > checkpoint.positions:
        raise CheckpointError(
            f"query_expansion fills queries up to {length} tokens, but the model has position vectors for "
            f"{checkpoint.positions}: set its length to that or less"
        )
    return Expansion(token_id=_token(checkpoint.tokenizer, wanted["token"]), length=length, attended=wanted["attend"])


def _token(tokenizer: Any, named: str | None) -> int:
    """The token that queries are filled up with: the one that is named, the mask, or the end of a text."""
    if named is not None:
        return int(tokenizer.convert_tokens_to_ids(named))
    found = tokenizer.mask_token_id if tokenizer.mask_token_id is not None else tokenizer.eos_token_id
    if found is None:
        raise CheckpointError(
            "query_expansion names no token, and the tokenizer has neither a mask nor an end token: name one in its `token`"
        )
    return int(found)
