"""Texts cut at another length than the checkpoint says."""

from embedrt_export.changes.telling import telling
from embedrt_export.checkpoint import Checkpoint

from embedrt.errors import CheckpointError, InputError

__all__ = ["cut_at"]


def cut_at(checkpoint: Checkpoint, limit: int) -> Checkpoint:
    """``checkpoint``, its model changed in place, reading ``limit`` tokens of a text, special ones included.

    Raises:
        InputError: there are no positions for so many, or no room beside the special tokens.
        CheckpointError: its lengths are not one number.
    """
    if not checkpoint.cuts_alike:
        raise CheckpointError(
            f"--max-seq-length is for models with a transformer that reads all texts alike, not for this {checkpoint.kind} one: "
            "leave it out"
        )
    if checkpoint.positions is not None and limit > checkpoint.positions:
        raise InputError(
            f"max_seq_length is {limit}, and the model has position vectors for {checkpoint.positions} tokens"
        )
    least, what = checkpoint.least_length
    if limit < least:
        raise InputError(f"max_seq_length is {limit}, expected at least {least} for {what}")
    checkpoint.model.max_seq_length = limit
    return telling(checkpoint, max_seq_length=limit)
