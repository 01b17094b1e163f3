"""What can be traced: a torch module from token ids to named outputs."""

from typing import Any

from torch import Tensor, nn

from embedrt.inference.session import TOKEN_TYPE_IDS

__all__ = ["GraphModule", "types_of_one_text"]

_TYPE_TABLE = "token_type_embeddings"


class GraphModule(nn.Module):
    """A module whose ``forward`` takes tensors int64 (batch, sequence) and gives one float tensor or a tuple of them."""

    transformer: Any
    """The transformers model inside, whose attention may be traced as one operator; None: there is none."""
    input_names: tuple[str, ...] = ("input_ids", "attention_mask")
    """The arguments of ``forward``, in their order; the runtime knows them from ``embedrt.inference.session``."""
    output_names: tuple[str, ...]
    """What ``forward`` gives, in its order; the first axis of each is the batch."""
    vocabulary: int
    """Token ids are below it."""


def types_of_one_text(transformer: Any, input_ids: Tensor) -> dict[str, Tensor]:
    """``token_type_ids`` for a transformer that has vectors of them, of texts by themselves; nothing for others.

    One text has one token type: as a constant it is folded into the embedding tables. GPT-2 and its like take token types too,
    but look them up among their words: what they do without any is not what they do with 0.
    """
    if not any(name.endswith(_TYPE_TABLE) for name, _ in transformer.named_modules()):
        return {}
    return {TOKEN_TYPE_IDS: input_ids.new_zeros((1, 1)).expand_as(input_ids)}
