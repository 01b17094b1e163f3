"""Whitening put behind a dense checkpoint, by a corpus or, when an artifact is verified, by what it keeps."""

import dataclasses
from pathlib import Path

from embedrt_export.changes.telling import telling
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.modules.whitening import corpus_moments, read_whitening, with_whitening, write_whitening
from embedrt_export.user_texts import bytes_of, in_chunks, read_texts
from embedrt_export.whitening import whitening_of

from embedrt.artifact.derivation import Whitened
from embedrt.errors import CheckpointError

__all__ = ["whitened_again", "whitened_by"]

_CHUNK = 1024
"""Texts that are encoded together: enough to sort by length, few enough for a bar that moves."""
_DENSE = ("dense", "static", "words")


def whitened_by(
    checkpoint: Checkpoint, corpus: Path, dims: int | None, folder: Path, *, quiet: bool
) -> tuple[Checkpoint, list[str]]:
    """``checkpoint`` with whitening behind it, and the facts; ``folder`` gets mean and matrix.

    Raises:
        InputError: the corpus cannot be used, or is too small.
        CheckpointError: it does not give one vector a text.
    """
    if checkpoint.kind not in _DENSE:
        raise CheckpointError(
            f"whitening is for dense encoders, and this is exported as {checkpoint.kind}: leave out --whiten"
        )
    texts = in_chunks(read_texts([corpus]), _CHUNK)
    made = whitening_of(corpus_moments(checkpoint.model, texts, bytes_of([corpus]), quiet=quiet), dims)
    write_whitening(made, folder)
    width, kept = made.matrix.shape
    whitening = Whitened(texts=made.texts, rank=made.rank, dimension=kept, explained_variance=made.explained_variance)
    dropped = f", {width - made.rank} of {width} directions without variance dropped" if made.rank < width else ""
    model = with_whitening(checkpoint.model, made.mean, made.matrix)
    facts = [f"{made.texts} texts{dropped}", f"{kept} wide, {made.explained_variance:.1%} of the variance"]
    return telling(dataclasses.replace(checkpoint, model=model), whitening=whitening), facts


def whitened_again(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    """``checkpoint`` with the whitening of the artifact in ``folder``.

    Raises:
        IntegrityError: the artifact lacks it.
    """
    return dataclasses.replace(checkpoint, model=with_whitening(checkpoint.model, **read_whitening(folder)))
