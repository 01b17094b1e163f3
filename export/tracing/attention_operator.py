"""Attention as the ONNX operator, in the words that transformers calls attention functions by.

Three-dimensional tensors (batch, sequence, heads * head size) are the form that ONNX Runtime's CPU kernel reads without a
transposition, and the mask is expanded once to (batch, 1, query, key): ONNX Runtime 1.32 refuses one that would have to be
broadcast. A bias (T5, MPNet, DeBERTa) is added to scores, as the mask is, so it travels in the mask: (batch, heads, query, key).

https://onnx.ai/onnx/operators/onnx__Attention.html
"""

from typing import Any

import torch
from torch import Tensor
from transformers.masking_utils import bidirectional_mask_function, eager_mask

__all__ = ["attend", "mask"]

_UNSUPPORTED = ("s_aux", "head_mask")  # what changes the scores and has no input in the operator


def attend(
    _module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    position_bias: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """``query`` (batch, heads, query, size), ``key`` and ``value`` (batch, key heads, key, size), mask (batch, 1, query, key).

    ``position_bias`` (batch or 1, heads, query, key).
    """
    del dropout  # there is none at inference
    if given := [name for name in _UNSUPPORTED if options.get(name) is not None]:
        raise NotImplementedError(f"the Attention operator has no input for {', '.join(given)}")
    batch, heads, length, size = query.shape
    merged, *_ = torch.onnx.ops.attention(
        _merge_heads(query),
        _merge_heads(key),
        _merge_heads(value),
        attn_mask=_with_bias(attention_mask, position_bias, batch),
        q_num_heads=heads,
        kv_num_heads=key.shape[1],
        scale=scaling if scaling is not None else size**-0.5,
        softcap=softcap or 0.0,
    )  # (batch, query, heads * size)
    result: Tensor = merged.view(batch, length, heads, value.shape[-1])
    return result, None


def _with_bias(mask: Tensor | None, bias: Tensor | None, batch: int) -> Tensor | None:
    """What is added to the scores, (batch, heads or 1, query, key)."""
    if bias is None:
        return mask
    return bias.expand(batch, -1, -1, -1) if mask is None else bias + mask


def _merge_heads(states: Tensor) -> Tensor:
    batch, heads, length, size = states.shape
    return states.transpose(1, 2).reshape(batch, length, heads * size)  # (batch, sequence, heads * size)


def mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    mask_function: Any = bidirectional_mask_function,
    attention_mask: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> Tensor:
    """0 where a query may look and the lowest float where it may not, (batch, 1, query, key)."""
    if mask_function is bidirectional_mask_function and attention_mask is not None:
        blocked = (1.0 - attention_mask.to(dtype)) * torch.finfo(dtype).min  # (batch, key)
        return blocked[:, None, None, :].expand(batch_size, 1, q_length, kv_length)
    options |= {"allow_is_bidirectional_skip": False, "allow_is_causal_skip": False}
    found: Tensor = eager_mask(
        batch_size,
        q_length,
        kv_length,
        mask_function=mask_function,
        attention_mask=attention_mask,
        dtype=dtype,
        **options,
    )
    return found
