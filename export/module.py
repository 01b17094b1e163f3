"""Stage 2: everything that a checkpoint does after its tokenizer, as one torch module that can be traced."""

import inspect
from typing import Any

from embedrt_export.pooling import ProductPooling
from embedrt_export.source import Checkpoint
from embedrt_export.token_modules import LayerMean, Residual, token_module
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, WeightedLayerPooling
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


class _OnTokens(nn.Module):
    """From the transformer's output to what is pooled: the last hidden state, or a mean of layers, through the modules there."""

    def __init__(self, layer_mean: LayerMean | None, modules: list[nn.Module]) -> None:
        super().__init__()
        self.layer_mean = layer_mean
        self.chain = nn.ModuleList(modules)

    def forward(self, output: Any, attention_mask: Tensor) -> Tensor:
        """``output`` of the transformer; mask int64 (batch, sequence); gives (batch, sequence, width)."""
        tokens: Tensor = output.last_hidden_state if self.layer_mean is None else self.layer_mean(output.hidden_states)
        for module in self.chain:
            tokens = module(tokens, attention_mask)
        return tokens


class SentenceModule(nn.Module):
    """Transformer, modules on tokens, pooling, and the modules behind it: token ids to sentence vectors."""

    def __init__(
        self,
        transformer: Any,
        on_tokens: _OnTokens,
        pooling: ProductPooling,
        finish: nn.Sequential,
        *,
        pooling_mask: bool,
        token_embeddings: bool,
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.on_tokens = on_tokens
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
        hidden = self.on_tokens(output, attention_mask)  # (batch, sequence, hidden)
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
    if not isinstance(modules[0], Transformer) or names.count("Pooling") != 1:
        raise CheckpointError(
            f"modules.json lists {', '.join(names)}; the exporter takes a Transformer, then Pooling, then any of {_AFTER_POOLING}"
        )
    at = names.index("Pooling")
    serving = checkpoint.serving()
    return SentenceModule(
        checkpoint.transformer,
        _on_tokens(modules[1:at], checkpoint),
        ProductPooling(serving.pooling),
        nn.Sequential(*[_finishing(module) for module in modules[at + 1 :] if not isinstance(module, Dropout)]),
        pooling_mask=not serving.include_prompt,
        token_embeddings=token_embeddings,
    ).eval()


def _on_tokens(modules: list[Any], checkpoint: Checkpoint) -> _OnTokens:
    mean = None
    if modules and isinstance(modules[0], WeightedLayerPooling):
        first, *modules = modules
        if checkpoint.transformer.config.output_hidden_states:  # without, sentence-transformers passes by it
            mean = LayerMean(first)
    return _OnTokens(mean, [token_module(module) for module in modules])


def _finishing(module: Any) -> nn.Module:
    """What stands for one module behind pooling, (batch, dim) to (batch, dim)."""
    if isinstance(module, Normalize):
        return UnitLength()
    if isinstance(module, LayerNorm):
        return nn.Sequential(module.norm)
    if isinstance(module, Dense) and module.module_input_name == module.module_output_name == "sentence_embedding":
        return Residual(module)
    raise CheckpointError(
        f"modules.json lists a {type(module).__name__} after pooling; the exporter takes {_AFTER_POOLING} there"
    )
