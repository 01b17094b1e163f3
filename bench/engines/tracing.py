"""What is taken out of a checkpoint with PyTorch for the engines that run a part of it."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["trace_transformer", "word_embeddings"]


def trace_transformer(checkpoint: Path, out: Path) -> None:
    """Write the transformer without pooling: ids and masks (batch, sequence) in, ``last_hidden_state`` out.

    Attention is taken apart into matrix products, as every exporter that has no operator for it does.
    """
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(checkpoint, attn_implementation="eager", dtype=torch.float32).eval()

    class LastHidden(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            found = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
            return found.last_hidden_state  # (batch, sequence, hidden)

    # three objects: the exporter takes one object for one input
    ids, mask, types = (torch.full((2, 7), value, dtype=torch.int64) for value in (1, 1, 0))
    batch, sequence = torch.export.Dim("batch"), torch.export.Dim("sequence", max=model.config.max_position_embeddings)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    torch.onnx.export(
        LastHidden().eval(), (ids, mask, types), out, dynamo=True, external_data=False, verbose=False,
        input_names=names, output_names=["last_hidden_state"], dynamic_shapes=[{0: batch, 1: sequence} for _ in names],
    )  # fmt: skip


def word_embeddings(checkpoint: Path) -> npt.NDArray[np.float32]:
    """The table of word embeddings, (vocabulary, hidden)."""
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(checkpoint, dtype=torch.float32)
    table: npt.NDArray[np.float32] = model.get_input_embeddings().weight.detach().numpy()
    return table
