"""The vocabulary trimmed, and what that means for texts which it was not trimmed for: the parity texts, of all languages."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from embedrt_export.changes.telling import telling
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.kinds.dense import DENSE
from embedrt_export.kinds.static import STATIC
from embedrt_export.parity.distance import row_cosines
from embedrt_export.parity.texts import PARITY_TEXTS
from embedrt_export.vocabulary import Trimmed, plain_tokenizer, trim

from embedrt.artifact.derivation import Trimming

__all__ = ["trimmed"]

_VECTORS = {"dense": DENSE.reference, "static": STATIC.reference}
"""Kinds with one vector a text."""


def trimmed(checkpoint: Checkpoint, files: Sequence[Path], *, quiet: bool) -> tuple[Checkpoint, list[str]]:
    """``checkpoint``, changed in place, with the pieces that the texts of ``files`` need; and the facts.

    Raises:
        InputError: a file of texts cannot be used.
        CheckpointError: the tokenizer cannot be trimmed.
    """
    cuts, whole = _parity_cuts(checkpoint), _parity_vectors(checkpoint)
    made = trim(checkpoint, files, quiet=quiet)
    others = _cut_otherwise(cuts, _parity_cuts(checkpoint), made)
    cosines = row_cosines(whole[others], _parity_vectors(checkpoint)[others]) if whole is not None and others else None
    trimming = Trimming(
        texts=made.texts,
        pieces_before=made.pieces_before,
        pieces=made.pieces,
        bytes_saved=made.bytes_saved,
        cut_otherwise=len(others),
        cosine_of_these=None if cosines is None else float(cosines.mean()),
    )
    return telling(checkpoint, trimming=trimming), _facts(trimming)


def _parity_vectors(checkpoint: Checkpoint) -> Any:
    """(texts, dim), or None where a text has no single vector."""
    return _VECTORS[checkpoint.kind](checkpoint) if checkpoint.kind in _VECTORS else None


def _parity_cuts(checkpoint: Checkpoint) -> list[npt.NDArray[np.int64]]:
    encodings = plain_tokenizer(checkpoint).encode_batch(list(PARITY_TEXTS))
    return [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]


def _cut_otherwise(before: Any, after: Any, made: Trimmed) -> list[int]:
    kept = np.array(made.kept)
    return [row for row, (old, new) in enumerate(zip(before, after, strict=True)) if not np.array_equal(old, kept[new])]


def _facts(made: Trimming) -> list[str]:
    likeness = f" (mean cosine {made.cosine_of_these:.3f})" if made.cosine_of_these is not None else ""
    return [
        f"{made.pieces_before} → {made.pieces} pieces for {made.texts} texts",
        f"{made.bytes_saved / 1e6:.1f} MB saved",
        f"{made.cut_otherwise} of {len(PARITY_TEXTS)} parity texts cut otherwise{likeness}",
    ]
