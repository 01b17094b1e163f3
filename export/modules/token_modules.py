"""Modules between transformer and pooling, (batch, sequence, hidden) to (batch, sequence, width), written for the trace.

Each leaves a text's tokens alone with themselves: what stands in padding cannot reach them. sentence-transformers' own CNN
lets it, so that there a text's vector depends on the batch; ours is that of the text alone.
"""

from typing import Any

import torch
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.sentence_transformer.modules import CNN, WeightedLayerPooling
from torch import Tensor, nn

from embedrt.errors import CheckpointError

__all__ = ["TOKENS", "EveryToken", "LayerMean", "Residual", "UnitLength", "token_module"]

_SHORTEST = 1e-12
TOKENS = "token_embeddings"
"""sentence-transformers' name for what these modules read and write."""


class UnitLength(nn.Module):
    """Each vector at length 1, whether of a text or of a token: (…, dim) to (…, dim)."""

    def forward(self, vectors: Tensor) -> Tensor:
        """``vectors`` (…, dim); PyTorch's ``normalize`` without its expansion of lengths, which the graph would keep."""
        lengths: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)  # (…, 1)
        unit: Tensor = vectors / lengths.clamp_min(_SHORTEST)
        return unit


class Residual(nn.Module):
    """A Dense module: activation(x W + b), and x, or x through a matrix of its own, added where it has a residual."""

    def __init__(self, dense: Dense) -> None:
        super().__init__()
        self.dense = nn.Sequential(dense.linear, dense.activation_function)
        self.adds = dense.use_residual
        self.shortcut: nn.Module = getattr(dense, "residual", nn.Identity())

    def forward(self, vectors: Tensor) -> Tensor:
        """``vectors`` (…, in) to (…, out)."""
        out: Tensor = self.dense(vectors)
        return out + self.shortcut(vectors) if self.adds else out


class LayerMean(nn.Module):
    """Weighted mean of the hidden states of several layers, the embeddings counted as the first."""

    def __init__(self, module: WeightedLayerPooling) -> None:
        super().__init__()
        self.start = module.layer_start
        self.weights = nn.Parameter(module.layer_weights / module.layer_weights.sum())  # (layers,)

    def forward(self, layers: tuple[Tensor, ...]) -> Tensor:
        """``layers`` each (batch, sequence, hidden)."""
        chosen = torch.stack(layers[self.start :], dim=-1)  # (batch, sequence, hidden, layers)
        mean: Tensor = chosen @ self.weights
        return mean


class EveryToken(nn.Module):
    """A module that treats each token by itself."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, tokens: Tensor, attention_mask: Tensor) -> Tensor:
        """``tokens`` (batch, sequence, hidden), mask int64 (batch, sequence)."""
        del attention_mask
        result: Tensor = self.module(tokens)
        return result


class _Convolutions(nn.Module):
    """Convolutions over the tokens, side by side; a text ends where its tokens end."""

    def __init__(self, module: CNN) -> None:
        super().__init__()
        self.convolutions = module.convs

    def forward(self, tokens: Tensor, attention_mask: Tensor) -> Tensor:
        """``tokens`` (batch, sequence, hidden), mask int64 (batch, sequence)."""
        real = tokens * attention_mask.unsqueeze(-1).to(tokens.dtype)
        columns = real.transpose(1, 2)  # (batch, hidden, sequence)
        found = torch.cat([convolution(columns) for convolution in self.convolutions], dim=1)
        return found.transpose(1, 2)  # (batch, sequence, width)


def token_module(module: Any) -> nn.Module:
    """What stands for one module before pooling: (batch, sequence, hidden) and its mask to (batch, sequence, width).

    Raises:
        CheckpointError: it cannot be put into the graph.
    """
    if isinstance(module, Dense) and module.module_input_name == module.module_output_name == TOKENS:
        return EveryToken(Residual(module))
    if isinstance(module, Normalize) and module.module_input_name == module.module_output_name == TOKENS:
        return EveryToken(UnitLength())
    if isinstance(module, CNN):
        if any(size % 2 == 0 for size in module.kernel_sizes) or any(step != 1 for step in module.stride_sizes):
            raise CheckpointError(
                f"the CNN has kernel_sizes {module.kernel_sizes} and stride_sizes {module.stride_sizes}; "
                "only odd kernels with stride 1 give a vector for each token, which pooling needs"
            )
        return _Convolutions(module)
    names = getattr(module, "module_input_name", TOKENS), getattr(module, "module_output_name", TOKENS)
    found = "" if names == (TOKENS, TOKENS) else f", and this one reads {names[0]!r} and writes {names[1]!r}"
    raise CheckpointError(
        f"modules.json lists a {type(module).__name__} before pooling; the exporter takes {_TAKEN} there{found}"
    )


_TAKEN = "WeightedLayerPooling, CNN and Dense or Normalize on token_embeddings"
