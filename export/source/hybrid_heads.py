"""BGE-M3's heads: lexical weights and a vector a token, from linear layers in files of their own beside a dense encoder.

    colbert_linear.pt   hidden → hidden: a vector a token, at length 1, the first token left out
    sparse_linear.pt    hidden → 1: the weight of a token, behind ReLU; a term has that of its heaviest token

Each is a state dict {"weight", "bias"} that torch saved. From BGE M3-Embedding (Chen et al.,
https://arxiv.org/abs/2402.03216), section 3.2, and FlagEmbedding, which publishes the checkpoints.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from embedrt.errors import CheckpointError

__all__ = ["COLBERT_FILE", "SPARSE_FILE", "Heads", "has_heads", "read_heads"]

COLBERT_FILE, SPARSE_FILE = "colbert_linear.pt", "sparse_linear.pt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """The heads of a checkpoint; None where it has not that file."""

    colbert: nn.Linear | None
    """(…, hidden) to (…, dim)"""
    sparse: nn.Linear | None
    """(…, hidden) to (…, 1)"""


def has_heads(folder: Path) -> bool:
    """Whether there is such a file."""
    return any((folder / name).is_file() for name in (COLBERT_FILE, SPARSE_FILE))


def read_heads(folder: Path, hidden: int) -> Heads:
    """The heads in ``folder``, for hidden states of this width.

    Raises:
        CheckpointError: a file is damaged, or holds another layer.
    """
    return Heads(colbert=_read(folder / COLBERT_FILE, hidden), sparse=_read(folder / SPARSE_FILE, hidden, width=1))


def _read(path: Path, hidden: int, width: int | None = None) -> nn.Linear | None:
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path} is not a file that torch saved: download the checkpoint again") from error
    weight, bias = _tensor(state, "weight"), _tensor(state, "bias")
    if weight is None or weight.ndim != 2 or weight.shape[1] != hidden or width not in (None, weight.shape[0]):
        came = "no `weight`" if weight is None else f"a weight of {tuple(weight.shape)}"
        expected = f"({'dim' if width is None else width}, {hidden})"
        raise CheckpointError(f"{path} holds {came}, expected a linear layer's state with a weight of {expected}")
    linear = nn.Linear(hidden, weight.shape[0], bias=bias is not None)
    linear.load_state_dict(
        {name: tensor for name, tensor in (("weight", weight), ("bias", bias)) if tensor is not None}
    )
    return linear.float().eval().requires_grad_(requires_grad=False)


def _tensor(state: Any, name: str) -> Tensor | None:
    found = state.get(name) if isinstance(state, dict) else None
    return found.float() if isinstance(found, Tensor) else None
