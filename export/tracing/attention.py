"""Attention as one ONNX operator, emitted while the model is traced instead of pattern-matched afterwards.

transformers lets a model's attention function and mask function be registered by name; ``attention_operator.py`` has them.
Architectures that do not ask by name are in ``own_attention.py``.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

from embedrt_export.tracing.attention_operator import attend, mask
from embedrt_export.tracing.own_attention import OWN_ATTENTION
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.utils import logging as transformers_logging

from embedrt.errors import CheckpointError

__all__ = ["AttentionForm", "attention_form"]

AttentionForm = Literal["operator", "eager"]
_NAME = "onnx_attention_operator"

AttentionInterface.register(_NAME, attend)
AttentionMaskInterface.register(_NAME, mask)


@contextmanager
def attention_form(transformer: Any, form: AttentionForm) -> Iterator[None]:
    """Within the block ``transformer`` computes its attention in the given form; afterwards as before.

    Raises:
        CheckpointError: the architecture does not let its attention be chosen, and ``form`` is the operator.
    """
    own = [module for module in transformer.modules() if type(module) in OWN_ATTENTION]
    if own:
        with _replaced(own, transformer) if form == "operator" else nullcontext():
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
def _replaced(modules: list[nn.Module], transformer: Any) -> Iterator[None]:
    """Within the block the classes of ``modules`` compute attention as :data:`OWN_ATTENTION` does."""
    before = {kind: kind.__dict__["forward"] for kind in {type(module) for module in modules}}
    for module in modules:
        OWN_ATTENTION[type(module)].prepare(module, transformer)
    try:
        for kind in before:
            kind.forward = OWN_ATTENTION[kind].forward
        yield
    finally:
        for kind, forward in before.items():
            kind.forward = forward


def _choose(transformer: Any, implementation: str) -> None:
    """Set the attention implementation; an architecture that has one only keeps it, with a warning that says nothing new."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        transformer.set_attn_implementation(implementation)
    finally:
        transformers_logging.set_verbosity(verbosity)
