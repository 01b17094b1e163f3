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
from embedrt_export.vocabulary import Trimmed, keep_tokens, plain_tokenizer, trim
from tokenizers import Tokenizer

from embedrt.artifact import Artifact
from embedrt.derivation import Derivation, Trimming

__all__ = ["Changes", "changed", "changed_again"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What was asked for."""

    keep_vocabulary_of: tuple[Path, ...] = ()
    """Files of texts, one a line, whose pieces the vocabulary keeps; none: all pieces stay."""


def changed(checkpoint: Checkpoint, wanted: Changes, stages: Stages) -> Checkpoint:
    """``checkpoint`` with all changes made, and told of in its source; where none is wanted, as it is.

    Raises:
        InputError: a file of texts cannot be used.
        CheckpointError: the checkpoint cannot be changed in this way.
    """
    if wanted.keep_vocabulary_of:
        with stages.stage("trim") as facts:
            trimming = _trimmed(checkpoint, wanted.keep_vocabulary_of, quiet=stages.quiet)
            checkpoint = _with(checkpoint, trimming=trimming)
            facts.extend(_facts(trimming))
    return checkpoint


def changed_again(checkpoint: Checkpoint, artifact: Artifact) -> Checkpoint:
    """``checkpoint`` with the changes that ``artifact`` tells of, from the artifact's own files.

    Raises:
        CheckpointError: it is not the checkpoint that the artifact was made of.
    """
    made = artifact.manifest.source.derivation if artifact.manifest is not None else None
    if made is not None and made.trimming is not None:
        keep_tokens(checkpoint, Tokenizer.from_file(str(artifact.tokenizer)).get_vocab())
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
