"""Stage 2: everything that a checkpoint does after its tokenizer, as one torch module that can be traced."""

from typing import Any

from embedrt_export.checkpoint import Checkpoint
from embedrt_export.modules.graph_module import GraphModule, types_of_one_text
from embedrt_export.modules.pooling import ProductPooling
from embedrt_export.modules.token_modules import LayerMean, Residual, UnitLength, token_module
from embedrt_export.modules.whitening import WhitenedVectors
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, WeightedLayerPooling
from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder
from torch import Tensor, nn

from embedrt.errors import CheckpointError

__all__ = ["FirstComponents", "SentenceModule", "build_module", "finishing"]

_AFTER_POOLING = "Dense, LayerNorm, Normalize and Dropout"


class FirstComponents(nn.Module):
    """Vectors cut to their first so many components, for checkpoints that say so (Matryoshka): (batch, width) to (batch, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, vectors: Tensor) -> Tensor:
        """``vectors`` (batch, width)."""
        return vectors[:, : self.dim]


class Whiten(nn.Module):
    """(x − μ) W in float32: (batch, dim) to (batch, kept)."""

    def __init__(self, module: WhitenedVectors) -> None:
        super().__init__()
        self.mean = nn.Parameter(module.mean.float(), requires_grad=False)
        self.matrix = nn.Parameter(module.matrix.float(), requires_grad=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """``vectors`` (batch, dim), of which the first are read where the checkpoint cuts them."""
        centered: Tensor = vectors[:, : len(self.mean)] - self.mean  # before the product: what is left is small
        return centered @ self.matrix


class Latents(nn.Module):
    """A sparse auto-encoder's code, what of it is above 0: (batch, dim) to (batch, latents). How many are kept comes later."""

    def __init__(self, module: SparseAutoEncoder) -> None:
        super().__init__()
        self.module = module

    def forward(self, vectors: Tensor) -> Tensor:
        """``vectors`` (batch, dim)."""
        prepared, _ = self.module.prepare(vectors)
        latents: Tensor = self.module.encode_pre_act(prepared)
        return latents.relu()


class TokenPooling(nn.Module):
    """From the transformer's output to pooled vectors: the last hidden state, or a mean of layers, through the modules there."""

    def __init__(self, layer_mean: LayerMean | None, modules: list[nn.Module], pooling: ProductPooling) -> None:
        super().__init__()
        self.layer_mean = layer_mean
        self.chain = nn.ModuleList(modules)
        self.pooling = pooling

    def forward(self, output: Any, attention_mask: Tensor, pooling_mask: Tensor) -> tuple[Tensor, Tensor]:
        """``output`` of the transformer, masks int64 (batch, sequence); gives (batch, dim) and (batch, sequence, width)."""
        tokens: Tensor = output.last_hidden_state if self.layer_mean is None else self.layer_mean(output.hidden_states)
        for module in self.chain:
            tokens = module(tokens, attention_mask)
        return self.pooling(tokens, attention_mask, pooling_mask), tokens


class OwnPooling(nn.Module):
    """The vector that a text tower pools by itself (CLIP: that of the token which ends the text), through its projection."""

    def __init__(self, projection: nn.Module) -> None:
        super().__init__()
        self.projection = projection

    def forward(self, output: Any, _attention_mask: Tensor, _pooling_mask: Tensor) -> tuple[Tensor, Tensor]:
        """As :class:`TokenPooling`."""
        return self.projection(output.pooler_output), output.last_hidden_state


class SentenceModule(GraphModule):
    """Transformer, pooling with the modules before it, and the modules behind it: token ids to sentence vectors."""

    def __init__(
        self, transformer: Any, head: nn.Module, finish: nn.Sequential, *, pooling_mask: bool, token_embeddings: bool
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.head = head
        self.finish = finish
        self.vocabulary = int(transformer.config.vocab_size)
        self.input_names = ("input_ids", "attention_mask", "pooling_mask")[: 2 + pooling_mask]
        self.output_names = ("sentence_embedding", "token_embeddings")[: 1 + token_embeddings]

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, pooling_mask: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """All inputs int64 (batch, sequence); gives (batch, dim), and (batch, sequence, hidden) if asked for."""
        token_types = types_of_one_text(self.transformer, input_ids)
        output = self.transformer(input_ids=input_ids, attention_mask=attention_mask, **token_types)
        pooled, hidden = self.head(output, attention_mask, attention_mask if pooling_mask is None else pooling_mask)
        vectors: Tensor = self.finish(pooled)  # (batch, dim)
        return (vectors, hidden) if len(self.output_names) > 1 else vectors


def build_module(checkpoint: Checkpoint, *, token_embeddings: bool = False) -> SentenceModule:
    """The checkpoint's modules in their order, pooling rewritten as a product.

    Raises:
        CheckpointError: the checkpoint has a module that cannot be put into the graph.
    """
    modules = list(checkpoint.model)
    names = [type(module).__name__ for module in modules]
    pooled = 1 if isinstance(modules[0], Transformer) and checkpoint.is_text_tower else 0
    if not isinstance(modules[0], Transformer) or names.count("Pooling") + pooled != 1:
        raise CheckpointError(
            f"modules.json lists {', '.join(names)}; the exporter takes a Transformer, then Pooling, then any of {_AFTER_POOLING}"
        )
    at = 0 if pooled else names.index("Pooling")
    finish = [finishing(module) for module in modules[at + 1 :] if not isinstance(module, Dropout)]
    if (width := getattr(checkpoint.model, "truncate_dim", None)) is not None:  # a SparseEncoder cuts nothing
        finish.append(FirstComponents(width))
    unit = bool(finish) and isinstance(finish[0], UnitLength)
    return SentenceModule(
        checkpoint.transformer,
        OwnPooling(modules[0].auto_model.text_projection)
        if pooled
        else _token_pooling(modules[1:at], checkpoint, direction_alone=unit),
        nn.Sequential(*finish),
        pooling_mask=not checkpoint.serving().include_prompt,
        token_embeddings=token_embeddings,
    ).eval()


def _token_pooling(modules: list[Any], checkpoint: Checkpoint, *, direction_alone: bool) -> TokenPooling:
    mean = None
    if modules and isinstance(modules[0], WeightedLayerPooling):
        first, *modules = modules
        if checkpoint.transformer.config.output_hidden_states:  # without, sentence-transformers passes by it
            mean = LayerMean(first)
    pooling = ProductPooling(checkpoint.serving().pooling, direction_alone=direction_alone)
    return TokenPooling(mean, [token_module(module) for module in modules], pooling)


def finishing(module: Any) -> nn.Module:
    """What stands for one module behind pooling, (batch, dim) to (batch, dim).

    Raises:
        CheckpointError: it cannot be put into the graph.
    """
    if isinstance(module, Normalize):
        return UnitLength()
    if isinstance(module, LayerNorm):
        return nn.Sequential(module.norm)
    if isinstance(module, WhitenedVectors):
        return Whiten(module)
    if isinstance(module, SparseAutoEncoder):
        return Latents(module)
    if isinstance(module, Dense) and module.module_input_name == module.module_output_name == "sentence_embedding":
        return Residual(module)
    raise CheckpointError(
        f"modules.json lists a {type(module).__name__} after pooling; the exporter takes {_AFTER_POOLING} there"
    )
