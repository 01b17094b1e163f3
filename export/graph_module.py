"""What can be traced: a torch module from token ids to named outputs."""

from typing import Any

from torch import nn

__all__ = ["GraphModule"]


class GraphModule(nn.Module):
    """A module whose ``forward`` takes tensors int64 (batch, sequence) and gives one float tensor or a tuple of them."""

    transformer: Any
    """The transformers model inside, whose attention may be traced as one operator; None: there is none."""
    input_names: tuple[str, ...] = ("input_ids", "attention_mask")
    """The arguments of ``forward``, in their order; the runtime knows :data:`embedrt.session.INPUT_IDS` and its neighbors."""
    output_names: tuple[str, ...]
    """What ``forward`` gives, in its order; the first axis of each is the batch."""
    vocabulary: int
    """Token ids are below it."""
