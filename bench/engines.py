"""Systems under measurement behind one small interface, each used as its own users use it."""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Embedrt", "Engine", "SentenceTransformers"]

Vectors = npt.NDArray[np.float32]


class Engine(Protocol):
    """What a scenario needs of a system."""

    name: str
    settings: dict[str, str]

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors (texts, dim) in the order of the texts."""
        ...


class Embedrt:
    """Ours: an artifact and one of its variants, everything else left at its default."""

    def __init__(self, artifact: Path, variant: str = "fp32", *, threads: int) -> None:
        from embedrt import SentenceEncoder

        self.name = f"embedrt {variant}"
        self._encoder = SentenceEncoder(artifact, variant=variant, threads=threads)
        self.settings = {
            "variant": variant,
            "threads": str(threads),
            "onnxruntime": importlib.metadata.version("onnxruntime"),
        }

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See :class:`Engine`."""
        vectors: Vectors = self._encoder.encode(texts)
        return vectors


class SentenceTransformers:
    """sentence-transformers on PyTorch, with its default batch size of 32."""

    def __init__(self, checkpoint: Path, dtype: str = "float32", *, threads: int) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        self.name = f"sentence-transformers {dtype}"
        self._model: Any = SentenceTransformer(
            str(checkpoint), device="cpu", model_kwargs={"dtype": getattr(torch, dtype)}
        )
        self.settings = {
            "dtype": dtype,
            "batch_size": "32",
            "threads": str(threads),
            "torch": torch.__version__,
            "sentence-transformers": importlib.metadata.version("sentence-transformers"),
        }

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See :class:`Engine`."""
        vectors: Vectors = self._model.encode(list(texts), batch_size=32, show_progress_bar=False)
        return vectors
