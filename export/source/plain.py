"""Checkpoints of transformers alone, which do not say how token vectors become one vector: the command does, or an artifact."""

from collections.abc import Sequence
from pathlib import Path

from embedrt_export.source.pooling_modes import POOLING_MODES
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from embedrt.artifact.manifest import Serving
from embedrt.errors import CheckpointError

__all__ = ["load_plain"]


def load_plain(
    folder: Path, pooling: Sequence[str] | None, served: Serving | None, *, trust_remote_code: bool
) -> SentenceTransformer:
    """The checkpoint in ``folder``, pooled by the modes of ``pooling``, or pooled and normalized as ``served`` says.

    Raises:
        CheckpointError: no mode is named, or an unknown one.
    """
    modes = pooling if served is None else served.pooling
    if not modes:
        raise CheckpointError(
            f"{folder} is a plain transformers checkpoint that does not say how token vectors become one vector: "
            f"pass --pooling with one of {', '.join(POOLING_MODES)} (its model card tells which; most use mean)"
        )
    if unknown := [mode for mode in modes if mode not in POOLING_MODES]:
        raise CheckpointError(f"pooling is {', '.join(unknown)}, expected some of {', '.join(POOLING_MODES)}")
    options = {"trust_remote_code": trust_remote_code}
    transformer = Transformer(str(folder), model_kwargs=options, config_kwargs=options, processor_kwargs=options)
    pooled = Pooling(transformer.get_embedding_dimension(), pooling_mode=tuple(modes))
    finish = [Normalize()] if served is not None and served.normalize else []
    return SentenceTransformer(modules=[transformer, pooled, *finish], device="cpu")
