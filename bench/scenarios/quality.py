"""Quality: how near an engine's vectors are to the reference's, and what they score on STS."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from embedrt_bench.engines.process import Engine, EngineError
from embedrt_bench.quality import sts_scores
from embedrt_bench.texts.data import sts_texts
from embedrt_bench.turns import take_turns

from embedrt.similarity import pairwise_cos_sim

__all__ = ["cosines", "quality", "require_right_vectors"]

Vectors = npt.NDArray[np.float32]
_CALL = 2000  # texts of one call


def require_right_vectors(engine: Engine, texts: Sequence[str], reference: Vectors, smallest: float | None) -> None:
    """EngineError where any text's cosine to ``reference`` (texts, dim) is below ``smallest``: a time counts only then.

    With None only the number of vectors and that they are finite is asked for.
    """
    vectors = engine.encode(texts)
    if len(vectors) != len(texts) or not np.isfinite(vectors).all():
        raise EngineError(engine.name, f"{len(texts)} texts gave {len(vectors)} vectors, or some are not finite")
    if smallest is None:
        return
    if vectors.shape != reference.shape:
        raise EngineError(engine.name, f"its vectors have the shape {vectors.shape}, the reference's {reference.shape}")
    worst = float(cosines(vectors, reference).min())
    if not worst >= smallest:
        found = f"smallest cosine {worst:.5f}, at least {smallest} is expected"
        raise EngineError(engine.name, f"its vectors are not the model's: {found}")


def quality(
    engines: Sequence[Engine], texts: Sequence[str], *, reference: Engine, sts: Path | None = None
) -> dict[str, Any]:
    """By engine: mean and smallest cosine to ``reference`` over ``texts``.

    With the folder ``sts``: over all its texts instead, and Spearman × 100 of each of its sets.
    """
    every = sts_texts(sts) if sts else list(texts)
    right = _encoded(reference, every)
    found: dict[str, Any] = {}
    for engine in take_turns(engines, 1, "quality", pause=0):
        vectors = right if engine is reference else _encoded(engine, every)
        near = cosines(vectors, right)
        found[engine.name] = {
            "cosine_mean": float(near.mean()),
            "cosine_min": float(near.min()),
            "texts": len(every),
            **(_scores(vectors, every, sts) if sts else {}),
        }
    return found


def cosines(vectors: Vectors, reference: Vectors) -> npt.NDArray[np.float64]:
    """Row by row, (texts,), in float64 so that equal rows give 1 and not a little more."""
    near: npt.NDArray[np.float64] = np.asarray(
        pairwise_cos_sim(vectors.astype(np.float64), reference.astype(np.float64)), dtype=np.float64
    )
    return near


def _encoded(engine: Engine, texts: Sequence[str]) -> Vectors:
    return np.concatenate([engine.encode(texts[at : at + _CALL]) for at in range(0, len(texts), _CALL)])


def _scores(vectors: Vectors, texts: Sequence[str], folder: Path) -> dict[str, Any]:
    rows = {text: index for index, text in enumerate(texts)}
    scores = sts_scores(lambda wanted: vectors[[rows[text] for text in wanted]], folder)
    return {"sts": scores, "sts_mean": sum(scores.values()) / len(scores)}
