"""Checkpoints of transformers alone, which do not say how token vectors become one vector: the command does, or an artifact."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
        CheckpointError: no mode is named; or one is, and the model pools by itself.
    """
    options = {"trust_remote_code": trust_remote_code}
    transformer = Transformer(str(folder), model_kwargs=options, config_kwargs=options, processor_kwargs=options)
    modules: list[Any] = [transformer]
    if transformer.module_output_name == "token_embeddings":
        modes = _known_modes(folder, pooling if served is None else served.pooling)
        modules.append(Pooling(transformer.get_embedding_dimension(), pooling_mode=modes))
    elif pooling is not None:
        architecture = type(transformer.auto_model).__name__
        raise CheckpointError(f"{folder} is a {architecture}, which pools by itself: leave out --pooling")
    if served is not None and served.normalize:
        modules.append(Normalize())
    return SentenceTransformer(modules=modules, device="cpu")


def _known_modes(folder: Path, modes: Sequence[str] | None) -> tuple[str, ...]:
    if not modes:
        raise CheckpointError(
            f"{folder} is a plain transformers checkpoint that does not say how token vectors become one vector: "
            f"pass --pooling with one of {', '.join(POOLING_MODES)} (its model card tells which; most use mean)"
        )
    return tuple(modes)
