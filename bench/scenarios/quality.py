"""Quality: how near an engine's vectors are to the reference's, and what they score on STS."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from embedrt_bench.engines.process import Engine
from embedrt_bench.engines.right_vectors import Vectors, cosines
from embedrt_bench.scenarios.sts import sts_scores
from embedrt_bench.scenarios.turns import take_turns
from embedrt_bench.texts.data import sts_texts

__all__ = ["quality"]

_CALL = 2000  # texts of one call


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


def _encoded(engine: Engine, texts: Sequence[str]) -> Vectors:
    return np.concatenate([engine.encode(texts[at : at + _CALL]) for at in range(0, len(texts), _CALL)])


def _scores(vectors: Vectors, texts: Sequence[str], folder: Path) -> dict[str, Any]:
    rows = {text: index for index, text in enumerate(texts)}
    scores = sts_scores(lambda wanted: vectors[[rows[text] for text in wanted]], folder)
    return {"sts": scores, "sts_mean": sum(scores.values()) / len(scores)}
