"""The chain in numpy, float64, a text at a time and by the words of its definition: what appended nodes are checked against."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from embedrt_export.graft.activations import ACTIVATIONS
from embedrt_export.graft.chain import Chain, Dense, LayerNorm, Module, Normalize

__all__ = ["chain_vectors", "module_vectors"]

Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.int64]


def chain_vectors(
    chain: Chain, tokens: npt.NDArray[np.float32], attention_mask: Mask, pooling_mask: Mask
) -> npt.NDArray[np.float32]:
    """``tokens`` (batch, sequence, hidden) and masks (batch, sequence) to vectors (batch, dim)."""
    rows = [
        _vector(chain, tokens[index, attention_mask[index] == 1], pooling_mask[index, attention_mask[index] == 1] == 1)
        for index in range(len(tokens))
    ]
    return np.stack(rows).astype(np.float32)


def module_vectors(modules: Sequence[Module], vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """``vectors`` (batch, in) through ``modules`` to (batch, out)."""
    return _through(modules, vectors.astype(np.float64)).astype(np.float32)


def _vector(chain: Chain, tokens: npt.NDArray[np.float32], pooled: npt.NDArray[np.bool_]) -> Doubles:
    """``tokens`` (length, hidden) without padding, and which of them are pooled, to (dim,)."""
    states = _through(chain.on_tokens, tokens.astype(np.float64))
    positions = np.arange(1, len(states) + 1, dtype=np.float64)[pooled]
    vector = np.concatenate([_POOLINGS[mode](states[pooled], positions) for mode in chain.pooling])
    return _through(chain.finish, vector)


def _through(modules: Sequence[Module], x: Doubles) -> Doubles:
    for module in modules:
        x = _module(module, x)
    return x


_POOLINGS: dict[str, Callable[[Doubles, Doubles], Doubles]] = {
    "cls": lambda tokens, _: tokens[0],
    "lasttoken": lambda tokens, _: tokens[-1],
    "max": lambda tokens, _: tokens.max(axis=0),
    "mean": lambda tokens, _: tokens.mean(axis=0),
    "mean_sqrt_len_tokens": lambda tokens, _: tokens.sum(axis=0) / np.sqrt(len(tokens)),
    "weightedmean": lambda tokens, positions: np.average(tokens, axis=0, weights=positions),
}
"""From the pooled tokens (pooled, hidden) and their positions in the text, counted from 1, (pooled,)."""


def _module(module: Module, x: Doubles) -> Doubles:
    """``x`` (…, in) to (…, out)."""
    if isinstance(module, Dense):
        return _dense(module, x)
    if isinstance(module, LayerNorm):
        scaled: Doubles = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
        return scaled * module.weight.astype(np.float64) + module.bias.astype(np.float64)
    if isinstance(module, Normalize):
        unit: Doubles = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
        return unit
    return x[..., : module.width]


def _dense(module: Dense, x: Doubles) -> Doubles:
    result = x @ module.weight.astype(np.float64)
    if module.bias is not None:
        result = result + module.bias
    slope = None if module.slope is None else module.slope.astype(np.float64)
    result = ACTIVATIONS[module.activation].compute(result, slope)
    if not module.residual:
        return result
    return result + (x if module.shortcut is None else x @ module.shortcut.astype(np.float64))
