"""Stage 2: everything that a checkpoint does after its tokenizer, as one torch module that can be traced."""

import inspect
from typing import Any

from embedrt_export.pooling import ProductPooling
from embedrt_export.source import Checkpoint
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling
from torch import Tensor, nn
from torch.nn.functional import normalize

from embedrt.errors import CheckpointError

__all__ = ["SentenceModule", "build_module"]

_AFTER_POOLING = "Dense, LayerNorm, Normalize and Dropout"


class UnitLength(nn.Module):
    """Each vector at length 1: (batch, dim) to (batch, dim)."""

    def forward(self, vectors: Tensor) -> Tensor:
        """``vectors`` (batch, dim)."""
        return normalize(vectors, p=2.0, dim=1)


class SentenceModule(nn.Module):
    """Transformer, pooling, and the modules behind it: token ids to sentence vectors."""

    def __init__(
        self,
        transformer: Any,
        pooling: ProductPooling,
        finish: nn.Sequential,
        *,
        pooling_mask: bool,
        token_embeddings: bool,
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.pooling = pooling
        self.finish = finish
        self.takes_pooling_mask = pooling_mask
        self.gives_token_embeddings = token_embeddings
        self._takes_token_types = "token_type_ids" in inspect.signature(transformer.forward).parameters

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, pooling_mask: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """All inputs int64 (batch, sequence); gives (batch, dim), and (batch, sequence, hidden) if asked for."""
        # One text has one token type; as a constant it is folded into the embedding tables.
        token_types = (
            {"token_type_ids": input_ids.new_zeros((1, 1)).expand_as(input_ids)} if self._takes_token_types else {}
        )
        output = self.transformer(input_ids=input_ids, attention_mask=attention_mask, **token_types)
        hidden = output.last_hidden_state  # (batch, sequence, hidden)
        pooled = self.pooling(hidden, attention_mask, attention_mask if pooling_mask is None else pooling_mask)
        vectors: Tensor = self.finish(pooled)  # (batch, dim)
        return (vectors, hidden) if self.gives_token_embeddings else vectors


def build_module(checkpoint: Checkpoint, *, token_embeddings: bool = False) -> SentenceModule:
    """The checkpoint's modules in their order, pooling rewritten as a product.

    Raises:
        CheckpointError: the checkpoint has a module that cannot be put into the graph.
    """
    modules = list(checkpoint.model)
    names = [type(module).__name__ for module in modules]
    if not (len(modules) >= 2 and isinstance(modules[0], Transformer) and isinstance(modules[1], Pooling)):
        raise CheckpointError(
            f"modules.json lists {', '.join(names)}; the exporter takes a Transformer, then Pooling, then any of {_AFTER_POOLING}"
        )
    serving = checkpoint.serving()
    return SentenceModule(
        checkpoint.transformer,
        ProductPooling(serving.pooling),
        nn.Sequential(*[_finishing(module) for module in modules[2:] if not isinstance(module, Dropout)]),
        pooling_mask=not serving.include_prompt,
        token_embeddings=token_embeddings,
    ).eval()


def _finishing(module: Any) -> nn.Module:
    """What stands for one module behind pooling, (batch, dim) to (batch, dim)."""
    if isinstance(module, Normalize):
        return UnitLength()
    if isinstance(module, LayerNorm):
        return nn.Sequential(module.norm)
    if isinstance(module, Dense) and getattr(module, "module_input_name", "sentence_embedding") == "sentence_embedding":
        return nn.Sequential(module.linear, module.activation_function)
    raise CheckpointError(
        f"modules.json lists a {type(module).__name__} after pooling; the exporter takes {_AFTER_POOLING} there"
    )
