"""What is changed of a loaded checkpoint before it is traced, because the user asked for it."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.distance import row_cosines
from embedrt_export.parity import reference_vectors
from embedrt_export.parity_texts import PARITY_TEXTS
from embedrt_export.stages import Stages
from embedrt_export.user_texts import bytes_of, in_chunks, read_texts
from embedrt_export.vocabulary import Trimmed, keep_tokens, plain_tokenizer, trim
from embedrt_export.whitening import whitening_of
from embedrt_export.whitening_module import corpus_moments, read_whitening, with_whitening, write_whitening
from tokenizers import Tokenizer

from embedrt.artifact import Artifact
from embedrt.derivation import Derivation, Trimming, Whitened
from embedrt.errors import CheckpointError, InputError

__all__ = ["Changes", "changed", "changed_again"]

_CORPUS_CHUNK = 1024
"""Texts that are encoded together: enough to sort by length, few enough for a bar that moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What was asked for."""

    keep_vocabulary_of: tuple[Path, ...] = ()
    """Files of texts, one a line, whose pieces the vocabulary keeps; none: all pieces stay."""
    whiten: Path | None = None
    """A file of texts, one a line, by which vectors are whitened."""
    dims: int | None = None
    """Width of whitened vectors; None: as many as the corpus varies in."""

    def __post_init__(self) -> None:
        if self.dims is not None and self.whiten is None:
            raise InputError("dims is for whitened vectors: pass --whiten CORPUS too, or leave --dims out")
        if self.dims is not None and self.dims < 1:
            raise InputError(f"dims is {self.dims}, expected at least 1")


def changed(checkpoint: Checkpoint, wanted: Changes, stages: Stages, folder: Path) -> Checkpoint:
    """``checkpoint`` with all changes made, and told of in its source; where none is wanted, as it is.

    ``folder`` gets what is needed to make them again.

    Raises:
        InputError: a file of texts cannot be used.
        CheckpointError: the checkpoint cannot be changed in this way.
    """
    if wanted.keep_vocabulary_of:
        with stages.stage("trim") as facts:
            trimming = _trimmed(checkpoint, wanted.keep_vocabulary_of, quiet=stages.quiet)
            checkpoint = _with(checkpoint, trimming=trimming)
            facts.extend(_facts(trimming))
    if wanted.whiten is not None:
        with stages.stage("whiten") as facts:
            checkpoint, made = _whitened(checkpoint, wanted.whiten, wanted.dims, folder, quiet=stages.quiet)
            facts.extend(made)
    return checkpoint


def changed_again(checkpoint: Checkpoint, artifact: Artifact) -> Checkpoint:
    """``checkpoint`` with the changes that ``artifact`` tells of, from the artifact's own files.

    Raises:
        CheckpointError: it is not the checkpoint that the artifact was made of.
    """
    made = artifact.manifest.source.derivation if artifact.manifest is not None else None
    if made is not None and made.trimming is not None:
        keep_tokens(checkpoint, Tokenizer.from_file(str(artifact.tokenizer)).get_vocab())
    if made is not None and made.whitening is not None:
        model = with_whitening(checkpoint.model, **read_whitening(artifact.folder))
        checkpoint = dataclasses.replace(checkpoint, model=model)
    return checkpoint


def _with(checkpoint: Checkpoint, **made: Any) -> Checkpoint:
    """``checkpoint`` whose source tells what was made of it."""
    derivation = dataclasses.replace(checkpoint.source.derivation or Derivation(), **made)
    return dataclasses.replace(checkpoint, source=dataclasses.replace(checkpoint.source, derivation=derivation))


def _trimmed(checkpoint: Checkpoint, files: tuple[Path, ...], *, quiet: bool) -> Trimming:
    cuts, whole = _parity_cuts(checkpoint), _parity_vectors(checkpoint)
    made = trim(checkpoint, files, quiet=quiet)
    others = _cut_otherwise(cuts, _parity_cuts(checkpoint), made)
    cosines = row_cosines(whole[others], _parity_vectors(checkpoint)[others]) if whole is not None else []
    return Trimming(
        texts=made.texts,
        pieces_before=made.pieces_before,
        pieces=made.pieces,
        bytes_saved=made.bytes_saved,
        cut_otherwise=len(others),
        cosine_of_these=float(np.mean(cosines)) if len(cosines) else None,
    )


def _whitened(
    checkpoint: Checkpoint, corpus: Path, dims: int | None, folder: Path, *, quiet: bool
) -> tuple[Checkpoint, list[str]]:
    """``checkpoint`` with whitening behind it, and the facts."""
    if checkpoint.kind != "dense":
        raise CheckpointError(
            f"whitening is for dense encoders, and this is exported as {checkpoint.kind}: leave out --whiten"
        )
    texts = in_chunks(read_texts([corpus]), _CORPUS_CHUNK)
    made = whitening_of(corpus_moments(checkpoint.model, texts, bytes_of([corpus]), quiet=quiet), dims)
    write_whitening(made, folder)
    width, kept = made.matrix.shape
    whitening = Whitened(texts=made.texts, rank=made.rank, dimension=kept, explained_variance=made.explained_variance)
    model = with_whitening(checkpoint.model, made.mean, made.matrix)
    dropped = f", {width - made.rank} of {width} directions without variance dropped" if made.rank < width else ""
    facts = [f"{made.texts} texts{dropped}", f"{kept} wide, {made.explained_variance:.1%} of the variance"]
    return _with(dataclasses.replace(checkpoint, model=model), whitening=whitening), facts


def _parity_vectors(checkpoint: Checkpoint) -> Any:
    """(texts, dim), or None where a text has no single vector."""
    return reference_vectors(checkpoint) if checkpoint.kind == "dense" else None


def _parity_cuts(checkpoint: Checkpoint) -> list[npt.NDArray[np.int64]]:
    return [np.array(encoding.ids) for encoding in plain_tokenizer(checkpoint).encode_batch(list(PARITY_TEXTS))]


def _cut_otherwise(before: Any, after: Any, made: Trimmed) -> list[int]:
    kept = np.array(made.kept)
    return [row for row, (old, new) in enumerate(zip(before, after, strict=True)) if not np.array_equal(old, kept[new])]


def _facts(made: Trimming) -> list[str]:
    others = f"{made.cut_otherwise} of {len(PARITY_TEXTS)} parity texts cut otherwise"
    likeness = f" (mean cosine {made.cosine_of_these:.3f})" if made.cosine_of_these is not None else ""
    return [
        f"{made.pieces_before} → {made.pieces} pieces for {made.texts} texts",
        f"{made.bytes_saved / 1e6:.1f} MB saved",
        others + likeness,
    ]
