"""Small random sparse encoders: masked-LM heads of every architecture that has one, SPLADE's poolings, and what is related.

Logits of a random head are above 0 for half of the vocabulary, those of a trained one for some dozens of terms: the head's
bias is lowered here, where it has one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from embedrt_bench.compatibility.architectures import save_plain
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder, SparseStaticEmbedding, SpladePooling

__all__ = ["SPARSE", "SparseModel", "save_auto_encoder", "save_inference_free", "save_splade"]

_HIDDEN, _LATENTS, _KEPT = 32, 128, 16
_LOWERED = 1.0
Strategy = Literal["max", "sum"]
Activation = Literal["relu", "log1p_relu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseModel:
    """One kind of checkpoint."""

    architecture: str
    pooling: str
    known: str
    """Well-known checkpoints of the kind."""
    save: Callable[[Path], Path]


def save_splade(
    architecture: str, folder: Path, *, strategy: Strategy = "max", activation: Activation = "relu"
) -> Path:
    """A masked-LM transformer of ``ARCHITECTURES[architecture]`` with SPLADE pooling."""
    modules = [_masked_lm(architecture, folder), SpladePooling(strategy, activation)]
    SparseEncoder(modules=modules, device="cpu").save(str(folder))
    return folder


def save_inference_free(folder: Path) -> Path:
    """A Router: queries by fixed weights, documents by SPLADE with a second logarithm, as OpenSearch's models have it."""
    transformer = _masked_lm("distilbert", folder)
    torch.manual_seed(1)
    queries = SparseStaticEmbedding(transformer.tokenizer, weight=torch.rand(len(transformer.tokenizer)) * 5)
    documents: list[Any] = [transformer, SpladePooling("max", "log1p_relu")]
    router = Router.for_query_document(query_modules=[queries], document_modules=documents)
    SparseEncoder(modules=[router], device="cpu").save(str(folder))
    return folder


def save_auto_encoder(folder: Path) -> Path:
    """A dense encoder with a sparse auto-encoder behind it."""
    transformer = Transformer(str(save_plain("mpnet", folder.with_name(f"{folder.name}-plain"))))
    torch.manual_seed(2)
    coder = SparseAutoEncoder(_HIDDEN, _LATENTS, k=_KEPT, k_aux=_KEPT)
    SparseEncoder(modules=[transformer, Pooling(_HIDDEN), coder], device="cpu").save(str(folder))
    return folder


def _masked_lm(architecture: str, folder: Path) -> Transformer:
    plain = save_plain(architecture, folder.with_name(f"{folder.name}-plain"), model="AutoModelForMaskedLM")
    transformer = Transformer(str(plain), transformer_task="fill-mask")
    bias = transformer.auto_model.get_output_embeddings().bias
    if bias is not None:
        with torch.no_grad():
            bias.sub_(_LOWERED)
    return transformer


def _splade(architecture: str, known: str, strategy: Strategy = "max", activation: Activation = "relu") -> SparseModel:
    save = partial(save_splade, architecture, strategy=strategy, activation=activation)
    return SparseModel(architecture=architecture, pooling=f"{strategy}, {activation}", known=known, save=save)


SPARSE: dict[str, SparseModel] = {
    "splade max": _splade("bert", "splade-cocondenser-ensembledistil, splade-v3, Splade_PP_en"),
    "splade sum": _splade("bert", "the first SPLADE", "sum"),
    "splade log1p_relu": _splade("bert", "", "max", "log1p_relu"),
    "splade, DistilBERT": _splade("distilbert", "splade-v3-distilbert, opensearch-neural-sparse-encoding-v2-distill"),
    "splade, RoBERTa": _splade("roberta", ""),
    "splade, XLM-R": _splade("xlm-roberta", ""),
    "splade, ModernBERT": _splade("modernbert", ""),
    "splade, MPNet": _splade("mpnet", ""),
    "splade, ALBERT": _splade("albert", ""),
    "splade, ELECTRA": _splade("electra", ""),
    "splade, DeBERTa": _splade("deberta-v2", ""),
    "inference-free": SparseModel(
        architecture="distilbert", pooling="max, log1p_relu; fixed weights for queries",
        known="opensearch-neural-sparse-encoding-doc-v3-distill", save=save_inference_free,
    ),
    "CSR": SparseModel(
        architecture="mpnet", pooling="mean, sparse auto-encoder", known="csr-mxbai-embed-large-v1-nq", save=save_auto_encoder,
    ),
}  # fmt: skip
