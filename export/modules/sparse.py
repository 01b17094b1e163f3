"""Sparse encoders as one torch module that can be traced: masked-LM head with SPLADE pooling, auto-encoders, fixed weights.

The logits of a masked-LM head, (batch, sequence, vocabulary), are by far the largest tensor of such a graph, and pooling
throws nearly all of it away. So the vocabulary is cut into blocks whose logits stay in the processor's cache, and each is
pooled at once. Bias and log(1 + relu(x)) never fall as a logit rises, so they are applied behind the maximum, where they cost
nothing. Instead of masking logits, padding tokens repeat the first real one, which no maximum sees.
"""

import copy
from typing import Any

import torch
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.modules.dense import build_module
from embedrt_export.modules.graph_module import GraphModule, types_of_one_text
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder, SparseStaticEmbedding, SpladePooling
from torch import Tensor, nn

from embedrt.errors import CheckpointError
from embedrt.inference.session import SPARSE_EMBEDDING

__all__ = ["build_sparse_module"]

_BLOCK = 2048
"""Terms whose logits are computed together: 4 MB for 512 tokens. One product for all was 5 % slower in float32, 20 % in int8."""
_CLOSE = 1e-5


def build_sparse_module(checkpoint: Checkpoint) -> GraphModule:
    """The checkpoint's modules in their order, giving ``sparse_embedding``.

    Raises:
        CheckpointError: they are none that the exporter knows.
    """
    modules = list(checkpoint.model)
    if len(modules) == 1 and isinstance(modules[0], SparseStaticEmbedding):
        return StaticWeights(modules[0]).eval()
    if len(modules) == 2 and isinstance(modules[0], Transformer) and isinstance(modules[1], SpladePooling):
        return SpladeModule(checkpoint.transformer, modules[1]).eval()
    if any(isinstance(module, Pooling) for module in modules) and isinstance(modules[-1], SparseAutoEncoder):
        module = build_module(checkpoint)
        module.output_names = (SPARSE_EMBEDDING,)
        return module
    raise CheckpointError(
        f"modules.json lists {', '.join(type(module).__name__ for module in modules)}; of sparse encoders the exporter takes "
        "Transformer (fill-mask) and SpladePooling, or Transformer, Pooling … and SparseAutoEncoder, or SparseStaticEmbedding"
    )


class SpladeModule(GraphModule):
    """Masked-LM transformer and SPLADE pooling: token ids to a weight for each term."""

    output_names = (SPARSE_EMBEDDING,)

    def __init__(self, transformer: Any, pooling: SpladePooling) -> None:
        super().__init__()
        body, decoder = _split(transformer)
        self.transformer = body
        self.vocabulary = int(transformer.config.vocab_size)
        self.head = _PooledLogits(decoder, pooling)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Both int64 (batch, sequence); gives (batch, vocabulary)."""
        token_types = types_of_one_text(self.transformer, input_ids)
        output = self.transformer(input_ids=input_ids, attention_mask=attention_mask, **token_types)
        pooled: Tensor = self.head(output.logits, attention_mask)
        return pooled


class _PooledLogits(nn.Module):
    """What the decoder reads, or finished logits where there is none, to pooled weights, a block of terms at a time."""

    def __init__(self, decoder: nn.Linear | None, pooling: SpladePooling) -> None:
        super().__init__()
        self.takes_maximum = pooling.pooling_strategy == "max"
        self.logarithms = 2 if pooling.activation_function == "log1p_relu" else 1
        weights = (
            () if decoder is None else torch.split(decoder.weight.detach().T, _BLOCK, dim=1)
        )  # each (hidden, block)
        biases = () if decoder is None or decoder.bias is None else torch.split(decoder.bias.detach(), _BLOCK)
        self.blocks = nn.ParameterList(nn.Parameter(block.contiguous(), requires_grad=False) for block in weights)
        self.biases = nn.ParameterList(nn.Parameter(block.clone(), requires_grad=False) for block in biases)

    def forward(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """``states`` (batch, sequence, hidden or vocabulary), mask int64 (batch, sequence); gives (batch, vocabulary)."""
        return self._maximum(states, attention_mask) if self.takes_maximum else self._sum(states, attention_mask)

    def _maximum(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        states = _padding_repeats_first_token(states, attention_mask)
        if not len(self.blocks):
            return self._activated(states.amax(dim=1))
        pooled = torch.cat([(states @ block).amax(dim=1) for block in self.blocks], dim=1)  # (batch, vocabulary)
        return self._activated(pooled + torch.cat(list(self.biases)) if len(self.biases) else pooled)

    def _sum(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """As a product, which adds up a text's tokens in an order that its company does not change."""
        row = attention_mask.to(states.dtype).unsqueeze(1)  # (batch, 1, sequence)
        if not len(self.blocks):
            return (row @ self._activated(states)).squeeze(1)
        logits = (states @ block for block in self.blocks)
        if len(self.biases):
            logits = (block + bias for block, bias in zip(logits, self.biases, strict=True))
        return torch.cat([(row @ self._activated(block)).squeeze(1) for block in logits], dim=1)

    def _activated(self, logits: Tensor) -> Tensor:
        weights = logits.relu()
        for _ in range(self.logarithms):
            weights = weights.log1p()
        return weights


class StaticWeights(GraphModule):
    """Each token's fixed weight, once, however often it stands in the text: token ids to a weight for each term."""

    output_names = (SPARSE_EMBEDDING,)
    transformer = None

    def __init__(self, module: SparseStaticEmbedding) -> None:
        super().__init__()
        self.vocabulary = len(module.weight)
        self.weights = nn.Parameter(module.weight.detach().float(), requires_grad=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Both int64 (batch, sequence); gives (batch, vocabulary)."""
        absent = self.weights.new_zeros((input_ids.shape[0], self.vocabulary))
        present = absent.scatter_reduce(1, input_ids, attention_mask.to(absent.dtype), reduce="amax")
        return present * self.weights


def _padding_repeats_first_token(states: Tensor, attention_mask: Tensor) -> Tensor:
    """``states`` (batch, sequence, width) with the first real token's row in place of those that the mask leaves out."""
    first = attention_mask.argmax(dim=1)[:, None, None].expand(-1, 1, states.shape[2])
    return torch.where(attention_mask.unsqueeze(-1) == 1, states, states.gather(1, first))


def _split(transformer: Any) -> tuple[Any, nn.Linear | None]:
    """A masked-LM model that stops before its last product, and that product; or the whole, where these are not all of it.

    Weights are shared with ``transformer``, which stays as it is.
    """
    decoder = transformer.get_output_embeddings()
    name = next((name for name, module in transformer.named_modules() if module is decoder), None)
    if name is None or not isinstance(decoder, nn.Linear):
        return transformer, None
    body = _with_module(transformer, name.split("."), nn.Identity())
    ids = torch.arange(6).unsqueeze(0) % transformer.config.vocab_size
    mask = torch.ones_like(ids)
    try:
        with torch.no_grad():
            logits = transformer(input_ids=ids, attention_mask=mask).logits
            apart = decoder(body(input_ids=ids, attention_mask=mask).logits)
    except RuntimeError:  # something behind the decoder wants its width
        return transformer, None
    alike = logits.shape == apart.shape and torch.allclose(logits, apart, atol=_CLOSE)
    return (body, decoder) if alike else (transformer, None)


def _with_module(parent: nn.Module, path: list[str], module: nn.Module) -> nn.Module:
    """A copy of ``parent`` that has ``module`` at ``path``, and shares everything else."""
    shallow = copy.copy(parent)
    shallow._modules = dict(parent._modules)  # noqa: SLF001  torch has no public way to copy a module without its weights
    child = parent.get_submodule(path[0])
    shallow._modules[path[0]] = module if len(path) == 1 else _with_module(child, path[1:], module)  # noqa: SLF001
    return shallow
