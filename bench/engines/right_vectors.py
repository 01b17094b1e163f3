"""Whether an engine gives the model's vectors: a time counts only then."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from embedrt_bench.engines.process import Engine, EngineError

from embedrt.similarity import pairwise_cos_sim

__all__ = ["Vectors", "cosines", "require_right_vectors"]

Vectors = npt.NDArray[np.float32]


def require_right_vectors(engine: Engine, texts: Sequence[str], reference: Vectors, smallest: float | None) -> None:
    """EngineError where any text's cosine to ``reference`` (texts, dim) is below ``smallest``.

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


def cosines(vectors: Vectors, reference: Vectors) -> npt.NDArray[np.float64]:
    """Row by row, (texts,), in float64 so that equal rows give 1 and not a little more."""
    near: npt.NDArray[np.float64] = np.asarray(
        pairwise_cos_sim(vectors.astype(np.float64), reference.astype(np.float64)), dtype=np.float64
    )
    return near
