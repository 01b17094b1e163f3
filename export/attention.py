"""Attention as one ONNX operator, emitted while the model is traced instead of pattern-matched afterwards.

transformers lets a model's attention function and mask function be registered by name. The functions here call
``torch.onnx.ops.attention``, which becomes the standard opset-23 ``Attention`` node. It takes three-dimensional tensors
(batch, sequence, heads * head size), the form that ONNX Runtime's CPU kernel reads without a transposition, and a mask
that is expanded once to (batch, 1, query, key): ONNX Runtime 1.32 refuses one that would have to be broadcast. A bias that
depends on positions (T5, MPNet) is added to scores, as the mask is, so it travels in the mask: (batch, heads, query, key).

https://onnx.ai/onnx/operators/onnx__Attention.html
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import bidirectional_mask_function, eager_mask
from transformers.models.mpnet.modeling_mpnet import MPNetSelfAttention
from transformers.utils import logging as transformers_logging

from embedrt.errors import CheckpointError

__all__ = ["AttentionForm", "attention_form"]

AttentionForm = Literal["operator", "eager"]
_NAME = "onnx_attention_operator"
_UNSUPPORTED = (
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
    position_bias: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """``query`` (batch, heads, query, size), ``key`` and ``value`` (batch, key heads, key, size), mask (batch, 1, query, key).

    ``position_bias`` (1, heads, query, key).
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


def _mpnet(
    self: MPNetSelfAttention,
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    position_bias: Tensor | None = None,
    **_options: Any,
) -> tuple[Tensor]:
    """MPNet's attention, which transformers keeps out of its interface; ``hidden_states`` (batch, sequence, hidden)."""
    heads = (*hidden_states.shape[:-1], -1, self.attention_head_size)
    query, key, value = (part(hidden_states).view(heads).transpose(1, 2) for part in (self.q, self.k, self.v))
    attended, _ = _attention(self, query, key, value, attention_mask, position_bias=position_bias)
    output: Tensor = self.o(attended.flatten(2))
    return (output,)


_OWN_CODE: dict[type, Any] = {MPNetSelfAttention: _mpnet}
"""Architectures that do not ask for their attention by name, and what to put in its place while tracing."""

AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, _mask)


@contextmanager
def attention_form(transformer: Any, form: AttentionForm) -> Iterator[None]:
    """Within the block ``transformer`` computes its attention in the given form; afterwards as before.

    Raises:
        CheckpointError: the architecture does not let its attention be chosen, and ``form`` is the operator.
    """
    own = {type(module) for module in transformer.modules()} & _OWN_CODE.keys()
    if own:
        with _replaced(own) if form == "operator" else nullcontext():
            yield
        return
    before = transformer.config._attn_implementation  # noqa: SLF001  transformers has no public reader
    _choose(transformer, _NAME if form == "operator" else "eager")
    chosen = transformer.config._attn_implementation  # noqa: SLF001
    if form == "operator" and chosen != _NAME:
        raise CheckpointError(f"{transformer.config.model_type} computes attention in code of its own")
    try:
        yield
    finally:
        _choose(transformer, before)


@contextmanager
def _replaced(own: set[type]) -> Iterator[None]:
    """Within the block these classes compute attention as :data:`_OWN_CODE` does."""
    before = {kind: kind.__dict__["forward"] for kind in own}
    try:
        for kind in own:
            kind.forward = _OWN_CODE[kind]  # type: ignore[attr-defined]
        yield
    finally:
        for kind, forward in before.items():
            kind.forward = forward  # type: ignore[attr-defined]


def _choose(transformer: Any, implementation: str) -> None:
    """Set the attention implementation; an architecture that has one only keeps it, with a warning that says nothing new."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        transformer.set_attn_implementation(implementation)
    finally:
        transformers_logging.set_verbosity(verbosity)
