"""A dense checkpoint distilled into a static one, and what that costs: the order of similarities, and scores on STS."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from embedrt_export.changes.distillation import SIF, distilled
from embedrt_export.changes.telling import telling
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.parity.correlation import spearman
from embedrt_export.quantization.calibration import held_out_texts
from embedrt_export.quantization.sts import sts_change
from embedrt_export.user_texts import in_chunks

from embedrt.artifact.derivation import Distillation
from embedrt.errors import CheckpointError
from embedrt.progress import progress

__all__ = ["distilled_again", "distilled_from"]

_CHUNK = 512

Floats = npt.NDArray[np.float32]


def distilled_from(
    checkpoint: Checkpoint, dims: int | None, sts: Path | None, *, quiet: bool
) -> tuple[Checkpoint, list[str]]:
    """The static embedding of ``checkpoint``, and the facts.

    Raises:
        InputError: ``dims`` cannot be reached, or ``sts`` holds no STS files.
        CheckpointError: it is no dense encoder with a transformer.
    """
    if checkpoint.kind != "dense":
        raise CheckpointError(
            f"only dense encoders with a transformer can be distilled, and this one is {checkpoint.kind}: leave out --static"
        )
    made = distilled(checkpoint, dims, quiet=quiet)
    before, after = (_Encoder(model, quiet=quiet) for model in (checkpoint.model, made.model))
    distillation = Distillation(
        tokens=made.tokens,
        dimension=int(made.model.get_embedding_dimension()),
        explained_variance=made.explained_variance,
        sif_coefficient=SIF,
        rank_correlation=_rank_correlation(before, after),
        sts_change=sts_change(before, after, sts) if sts is not None else {},
    )
    static = dataclasses.replace(checkpoint, model=made.model, kind="static")
    return telling(static, distillation=distillation), _facts(distillation)


def distilled_again(checkpoint: Checkpoint, dims: int, *, quiet: bool) -> Checkpoint:
    """The same once more."""
    return dataclasses.replace(checkpoint, model=distilled(checkpoint, dims, quiet=quiet).model, kind="static")


class _Encoder:
    """A loaded model behind a bar, for minutes of STS."""

    def __init__(self, model: Any, *, quiet: bool) -> None:
        self._model, self._quiet = model, quiet

    def encode(self, sentences: Sequence[str]) -> Floats:
        """Vectors (texts, dim); each different text is encoded once."""
        unique = list(dict.fromkeys(sentences))
        rows: list[Floats] = []
        with progress(len(unique), shown=not self._quiet, doing="  measure") as advance:
            for chunk in in_chunks(unique, _CHUNK):
                rows.append(self._model.encode(chunk, show_progress_bar=False))
                advance(len(chunk))
        places = {text: row for row, text in enumerate(unique)}
        return np.concatenate(rows)[[places[text] for text in sentences]]


def _rank_correlation(before: _Encoder, after: _Encoder) -> float:
    """Spearman's correlation of the cosines of all pairs of held-out texts."""
    texts = held_out_texts()
    first, second = (_cosines(encoder.encode(texts)) for encoder in (before, after))
    return float(spearman(first[None, :], second[None, :])[0])


def _cosines(vectors: Floats) -> npt.NDArray[np.float64]:
    """Of every pair of rows, (pairs,)."""
    exact = vectors.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    unit = exact / np.where(lengths > 0, lengths, 1)
    products: npt.NDArray[np.float64] = (unit @ unit.T)[np.triu_indices(len(unit), k=1)]
    return products


def _facts(made: Distillation) -> list[str]:
    facts = [
        f"{made.tokens} tokens, {made.dimension} wide, {made.explained_variance:.1%} of the variance",
        f"ranks of similarities agree to {made.rank_correlation:.3f}",
    ]
    if made.sts_change:
        facts.append(f"STS {made.sts_change['mean']:+.2f} points")
    return facts
