"""Whitening as the last but one module of a checkpoint: in float64, what the graph's float32 is compared with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from embedrt_export.whitening import Moments, Whitening, moments_of
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize
from torch import Tensor, nn

from embedrt.errors import IntegrityError
from embedrt.progress import progress

__all__ = ["WHITENING_FILE", "WhitenedVectors", "corpus_moments", "read_whitening", "with_whitening", "write_whitening"]

WHITENING_FILE = "whitening.safetensors"
"""Mean and matrix in float64, beside the graph that has them in float32: with it the comparison can be repeated."""
_VECTORS = "sentence_embedding"


class WhitenedVectors(nn.Module):
    """(x − μ) W of the sentence vectors, (batch, dim) to (batch, kept)."""

    def __init__(self, mean: Any, matrix: Any) -> None:
        super().__init__()
        self.mean = torch.from_numpy(np.asarray(mean, dtype=np.float64))  # (dim,)
        self.matrix = torch.from_numpy(np.asarray(matrix, dtype=np.float64))  # (dim, kept)

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """``features`` as sentence-transformers passes them from module to module."""
        vectors = features[_VECTORS][:, : len(self.mean)].double()  # a checkpoint may cut its vectors
        return {**features, _VECTORS: ((vectors - self.mean) @ self.matrix).float()}

    def get_embedding_dimension(self) -> int:
        """Width of what comes out."""
        return self.matrix.shape[1]


def corpus_moments(model: Any, texts: Any, total: int, *, quiet: bool) -> Moments:
    """Mean and covariance of the vectors of ``texts``; ``total`` bytes of them are announced on the bar."""
    with progress(total, shown=not quiet, doing="  whiten", unit="B") as advance:

        def chunks() -> Iterator[Any]:
            for chunk in texts:
                yield model.encode(chunk, show_progress_bar=False)
                advance(sum(len(text.encode("utf-8")) + 1 for text in chunk))

        return moments_of(chunks())


def with_whitening(model: Any, mean: Any, matrix: Any) -> SentenceTransformer:
    """``model`` and behind it whitening, then vectors of length 1: whitened ones are compared by their cosine."""
    return SentenceTransformer(
        modules=[*model, WhitenedVectors(mean, matrix), Normalize()],
        device="cpu",
        prompts=model.prompts,
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name="cosine",
    )


def write_whitening(whitening: Whitening, folder: Path) -> None:
    """Write :data:`WHITENING_FILE`."""
    arrays = {"mean": whitening.mean, "matrix": np.ascontiguousarray(whitening.matrix)}
    save_file(arrays, folder / WHITENING_FILE)


def read_whitening(folder: Path) -> dict[str, Any]:
    """``mean`` (dim,) and ``matrix`` (dim, kept), float64.

    Raises:
        IntegrityError: the file is not there.
    """
    if not (folder / WHITENING_FILE).is_file():
        raise IntegrityError(
            f"{folder} lacks {WHITENING_FILE}, which its manifest tells of: export the checkpoint again"
        )
    return load_file(folder / WHITENING_FILE)
