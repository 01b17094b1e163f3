"""Token vectors to one vector, written for the trace: every mode but max is one product of a weight row with the tokens.

    (batch, 1, sequence) @ (batch, sequence, hidden) → (batch, 1, hidden)

A product adds up the tokens of a text in an order that does not depend on the other texts of the batch. A sum over an
axis does not promise that: with ReduceSum pooling fewer than one vector in a hundred kept its bits in another batch.
The modes are those of sentence-transformers' Pooling, in its version 6.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["ProductPooling"]

_SMALLEST_COUNT = 1e-9


class ProductPooling(nn.Module):
    """Pooling by the named modes, concatenated: (batch, sequence, hidden) to (batch, modes * hidden)."""

    def __init__(self, modes: Sequence[str], *, direction_alone: bool = False) -> None:
        """``direction_alone``: what follows gives every vector length 1, so that a sum of tokens does for their mean."""
        super().__init__()
        self.modes = tuple(modes)
        self.divided = not direction_alone or len(self.modes) > 1

    def forward(self, hidden: Tensor, attention_mask: Tensor, pooling_mask: Tensor) -> Tensor:
        """``hidden`` (batch, sequence, hidden); both masks int64 (batch, sequence)."""
        pooled = [
            _maximum(hidden, pooling_mask)
            if mode == "max"
            else torch.bmm(
                self._weights(mode, attention_mask, pooling_mask, hidden.dtype).unsqueeze(1), hidden
            ).squeeze(1)
            for mode in self.modes
        ]  # each (batch, hidden)
        return torch.cat(pooled, dim=-1)  # (batch, modes * hidden)

    def _weights(self, mode: str, attention_mask: Tensor, pooling_mask: Tensor, dtype: torch.dtype) -> Tensor:
        weights = _WEIGHTS[mode](attention_mask, pooling_mask, dtype)  # (batch, sequence)
        if mode not in _DIVISORS or not self.divided:
            return weights
        return weights / _DIVISORS[mode](weights.sum(dim=1, keepdim=True).clamp(min=_SMALLEST_COUNT))


def _maximum(hidden: Tensor, pooling_mask: Tensor) -> Tensor:
    masked = hidden.masked_fill(pooling_mask.unsqueeze(-1) == 0, float("-inf"))  # (batch, sequence, hidden)
    return masked.amax(dim=1)  # (batch, hidden)


def _each(_attention_mask: Tensor, pooling_mask: Tensor, dtype: torch.dtype) -> Tensor:
    return pooling_mask.to(dtype)  # (batch, sequence)


def _rising(attention_mask: Tensor, pooling_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Weights 1, 2, 3 … from the first real token on."""
    positions = attention_mask.cumsum(dim=1).to(dtype)  # (batch, sequence)
    return pooling_mask.to(dtype) * positions


def _first(_attention_mask: Tensor, pooling_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """1 at the first pooled token, 0 elsewhere."""
    return ((pooling_mask.cumsum(dim=1) == 1) & (pooling_mask == 1)).to(dtype)


def _last(_attention_mask: Tensor, pooling_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """1 at the last pooled token, 0 elsewhere."""
    counted = pooling_mask.cumsum(dim=1)  # (batch, sequence)
    return ((counted == pooling_mask.sum(dim=1, keepdim=True)) & (pooling_mask == 1)).to(dtype)


_WEIGHTS: dict[str, Callable[[Tensor, Tensor, torch.dtype], Tensor]] = {
    "mean": _each,
    "mean_sqrt_len_tokens": _each,
    "weightedmean": _rising,
    "cls": _first,
    "lasttoken": _last,
}
_DIVISORS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda total: total,
    "mean_sqrt_len_tokens": torch.sqrt,
    "weightedmean": lambda total: total,
}
"""By what weights are divided, of their total (batch, 1)."""
