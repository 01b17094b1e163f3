"""Stage 2 of checkpoints that give several kinds of vectors: a dense encoder whose token vectors feed further heads.

One run of the transformer, three outputs: sentence_embedding (batch, dim), token_weights (batch, sequence) and token_embeddings
(batch, sequence, dim). The heads read what pooling reads, so the last layer keeps a row for every token.
"""

from embedrt_export.checkpoint import Checkpoint
from embedrt_export.modules.dense import SentenceModule, build_module
from embedrt_export.modules.graph_module import GraphModule
from embedrt_export.source.hybrid_heads import Heads, read_heads
from torch import Tensor
from torch.nn.functional import normalize

from embedrt.inference.session import SENTENCE_EMBEDDING, TOKEN_EMBEDDINGS, TOKEN_WEIGHTS

__all__ = ["HybridModule", "build_hybrid", "heads_of"]


class HybridModule(GraphModule):
    """A dense encoder's module with heads beside its pooling."""

    def __init__(self, dense: SentenceModule, heads: Heads) -> None:
        super().__init__()
        self.dense = dense
        self.colbert, self.sparse = heads.colbert, heads.sparse
        self.transformer, self.vocabulary, self.input_names = dense.transformer, dense.vocabulary, dense.input_names
        named = ((TOKEN_WEIGHTS, self.sparse), (TOKEN_EMBEDDINGS, self.colbert))
        self.output_names = (SENTENCE_EMBEDDING, *(name for name, head in named if head is not None))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, pooling_mask: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """All int64 (batch, sequence); gives the outputs in their order."""
        # (batch, dim), (batch, sequence, hidden)
        vectors, hidden = self.dense(input_ids, attention_mask, pooling_mask)
        outputs = [vectors]
        if self.sparse is not None:
            outputs.append(self.sparse(hidden).relu().squeeze(-1))  # (batch, sequence)
        if self.colbert is not None:
            outputs.append(normalize(self.colbert(hidden), p=2.0, dim=-1))  # (batch, sequence, dim)
        return tuple(outputs)


def build_hybrid(checkpoint: Checkpoint) -> HybridModule:
    """The checkpoint's modules and heads.

    Raises:
        CheckpointError: it has a module or a head that cannot be put into the graph.
    """
    return HybridModule(build_module(checkpoint, token_embeddings=True), heads_of(checkpoint)).eval()


def heads_of(checkpoint: Checkpoint) -> Heads:
    """The checkpoint's heads, for hidden states of its transformer's width."""
    return read_heads(checkpoint.folder, int(checkpoint.model[0].get_embedding_dimension()))
