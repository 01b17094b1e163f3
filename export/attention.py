"""Attention as one ONNX operator, emitted while the model is traced instead of pattern-matched afterwards.

transformers lets a model's attention function and mask function be registered by name. The functions here call
``torch.onnx.ops.attention``, which becomes the standard opset-23 ``Attention`` node. It takes three-dimensional tensors
(batch, sequence, heads * head size), the form that ONNX Runtime's CPU kernel reads without a transposition, and a mask
that is expanded once to (batch, 1, query, key): ONNX Runtime 1.32 refuses one that would have to be broadcast.

https://onnx.ai/onnx/operators/onnx__Attention.html
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import bidirectional_mask_function, eager_mask
from transformers.utils import logging as transformers_logging

from embedrt.errors import CheckpointError

__all__ = ["AttentionForm", "attention_form"]

AttentionForm = Literal["operator", "eager"]
_NAME = "onnx_attention_operator"
_UNSUPPORTED = (
    "position_bias",
    "s_aux",
    "head_mask",
)  # what changes the scores and has no input in the operator


def _attention(
    _module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """``query`` (batch, heads, query, size), ``key`` and ``value`` (batch, key heads, key, size), mask (batch, 1, query, key)."""
    del dropout  # there is none at inference
    if given := [name for name in _UNSUPPORTED if options.get(name) is not None]:
        raise NotImplementedError(f"the Attention operator has no input for {', '.join(given)}")
    batch, heads, length, size = query.shape
    merged, *_ = torch.onnx.ops.attention(
        _merge_heads(query),
        _merge_heads(key),
        _merge_heads(value),
        attn_mask=attention_mask,
        q_num_heads=heads,
        kv_num_heads=key.shape[1],
        scale=scaling if scaling is not None else size**-0.5,
        softcap=softcap or 0.0,
    )  # (batch, query, heads * size)
    result: Tensor = merged.view(batch, length, heads, value.shape[-1])
    return result, None


def _merge_heads(states: Tensor) -> Tensor:
    batch, heads, length, size = states.shape
    return states.transpose(1, 2).reshape(batch, length, heads * size)  # (batch, sequence, heads * size)


def _mask(
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
    mask: Tensor = eager_mask(
        batch_size,
        q_length,
        kv_length,
        mask_function=mask_function,
        attention_mask=attention_mask,
        dtype=dtype,
        **options,
    )
    return mask


AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, _mask)


@contextmanager
def attention_form(transformer: Any, form: AttentionForm) -> Iterator[None]:
    """Within the block ``transformer`` computes its attention in the given form; afterwards as before.

    Raises:
        CheckpointError: the architecture does not let its attention be chosen, and ``form`` is the operator.
    """
    before = transformer.config._attn_implementation  # noqa: SLF001  transformers has no public reader
    _choose(transformer, _NAME if form == "operator" else "eager")
    chosen = transformer.config._attn_implementation  # noqa: SLF001
    if form == "operator" and chosen != _NAME:
        raise CheckpointError(f"{transformer.config.model_type} computes attention in code of its own")
    try:
        yield
    finally:
        _choose(transformer, before)


def _choose(transformer: Any, implementation: str) -> None:
    """Set the attention implementation; an architecture that has one only keeps it, with a warning that says nothing new."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        transformer.set_attn_implementation(implementation)
    finally:
        transformers_logging.set_verbosity(verbosity)
