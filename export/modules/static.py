"""A static embedding as a module that can be traced: rows of a table, and their mean as a product."""

import torch
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.modules.dense import FirstComponents, finishing
from embedrt_export.modules.graph_module import GraphModule
from embedrt_export.modules.pooling import ProductPooling
from embedrt_export.static.embedding import LeftOutUnknown
from sentence_transformers.sentence_transformer.modules import Dropout
from torch import Tensor, nn

__all__ = ["StaticModule", "build_static_module"]


class StaticModule(GraphModule):
    """Token ids to the mean of their vectors, and the modules behind it; zero where no token counts."""

    def __init__(
        self, table: Tensor, finish: nn.Sequential, *, left_out: int | None = None, token_embeddings: bool = False
    ) -> None:
        super().__init__()
        self.transformer = None
        self.table = nn.Embedding(len(table), table.shape[1], _weight=table, _freeze=True)  # (tokens, dim)
        self.pooling = ProductPooling(("mean",))
        self.finish = finish
        self.left_out = left_out
        self.vocabulary = len(table)
        self.output_names = ("sentence_embedding", "token_embeddings")[: 1 + token_embeddings]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Both int64 (batch, sequence); gives (batch, dim), and (batch, sequence, dim) if asked for."""
        tokens = self.table(input_ids)  # (batch, sequence, dim)
        counted = attention_mask
        if self.left_out is not None:
            counted = attention_mask * (input_ids != self.left_out).to(torch.int64)
        vectors: Tensor = self.finish(self.pooling(tokens, attention_mask, counted))  # (batch, dim)
        return (vectors, tokens) if len(self.output_names) > 1 else vectors


def build_static_module(checkpoint: Checkpoint, *, token_embeddings: bool = False) -> StaticModule:
    """The checkpoint's modules in their order.

    Raises:
        CheckpointError: one of them cannot be put into the graph.
    """
    first, *others = checkpoint.model
    finish = [finishing(module) for module in others if not isinstance(module, Dropout)]
    if checkpoint.model.truncate_dim is not None:
        finish.append(FirstComponents(checkpoint.model.truncate_dim))
    return StaticModule(
        first.embedding.weight.detach(),
        nn.Sequential(*finish),
        left_out=first.unknown if isinstance(first, LeftOutUnknown) else None,
        token_embeddings=token_embeddings,
    ).eval()
