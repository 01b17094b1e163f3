"""Look-alikes of the families that people use, by name: the architecture, pooling, layers behind it, prompts and limits of each.

What a name stands for is as its model cards and configuration files say; weights are small and random.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from embedrt_bench.compatibility.architectures import save_plain
from embedrt_bench.compatibility.tokenizers import TokenizerKind
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from torch import nn

__all__ = ["FAMILIES", "Family", "save_family"]

_ZH_QUERY = "为这个句子生成表示以用于检索相关文章："
_EN_QUERY = "Represent this sentence for searching relevant passages: "
_TASK = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
_E5 = {"query": "query: ", "passage": "passage: "}
_GEMMA = {"query": "task: search result | query: ", "document": "title: none | text: "}


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family."""

    architecture: str
    """Key of :data:`embedrt_bench.compatibility.architectures.ARCHITECTURES`."""
    tokenizer: TokenizerKind | None = None
    """None: that of the architecture."""
    pooling: str = "mean"
    dense: tuple[tuple[int, type[nn.Module], bool], ...] = ()
    """Behind pooling: width, activation, and whether there is a bias."""
    normalize: bool = True
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    max_length: int = 48
    """Tokens, special ones included."""
    note: str = ""
    """For the documents."""


FAMILIES: dict[str, Family] = {
    "all-MiniLM": Family(architecture="bert", note="mean, normalized; 256 tokens"),
    "all-mpnet": Family(architecture="mpnet", note="mean, normalized; a position bias in attention"),
    "paraphrase-multilingual-MiniLM": Family(
        architecture="bert", tokenizer="unigram", normalize=False, note="a BERT with XLM-R's SentencePiece vocabulary",
    ),
    "LaBSE": Family(
        architecture="bert", pooling="cls", dense=((32, nn.Tanh, True),), note="CLS, Dense with tanh, normalized",
    ),
    "distiluse": Family(
        architecture="distilbert", dense=((24, nn.Tanh, True),), normalize=False, note="mean, Dense with tanh",
    ),
    "sentence-t5": Family(
        architecture="t5", dense=((32, nn.Identity, False),), note="T5 encoder, mean, Dense without bias, normalized",
    ),
    "E5": Family(architecture="bert", prompts=_E5, note='prompts "query: " and "passage: "'),
    "multilingual-e5": Family(architecture="xlm-roberta", prompts=_E5, note="the same on XLM-RoBERTa"),
    "BGE zh v1.5": Family(
        architecture="bert", pooling="cls", prompts={"query": _ZH_QUERY}, note="CLS, normalized, an instruction before queries",
    ),
    "BGE en v1.5": Family(
        architecture="bert", pooling="cls", prompts={"query": _EN_QUERY}, note="CLS, normalized, an instruction before queries",
    ),
    "GTE": Family(architecture="bert", note="mean, normalized"),
    "GTE ModernBERT": Family(architecture="modernbert", pooling="cls", normalize=False, note="CLS of a ModernBERT"),
    "text2vec CoSENT": Family(architecture="bert", normalize=False, note="mean over BERT or MacBERT, trained with CoSENT"),
    "text2vec CoSENT, ERNIE": Family(architecture="ernie", normalize=False, note="mean over ERNIE"),
    "EmbeddingGemma": Family(
        architecture="gemma3_text", dense=((64, nn.Identity, False), (32, nn.Identity, False)), prompts=_GEMMA,
        note="mean of a bidirectional Gemma 3, two Dense layers, normalized, prompts by task",
    ),
    "Qwen3-Embedding": Family(
        architecture="qwen3", pooling="lasttoken", prompts={"query": _TASK, "document": ""},
        note="last token, padded on the left, an instruction before queries",
    ),
}  # fmt: skip


def save_family(name: str, folder: Path) -> Path:
    """A look-alike of ``FAMILIES[name]``, saved by sentence-transformers in ``folder``."""
    family = FAMILIES[name]
    plain = save_plain(family.architecture, folder.with_name(f"{folder.name}-plain"), tokenizer=family.tokenizer)
    transformer = Transformer(str(plain), max_seq_length=family.max_length)
    width = transformer.get_embedding_dimension()
    modules: list[Any] = [transformer, Pooling(width, pooling_mode=family.pooling)]
    torch.manual_seed(1)
    for out, activation, bias in family.dense:
        modules.append(Dense(width, out, bias=bias, activation_function=activation()))
        width = out
    SentenceTransformer(
        modules=[*modules, *([Normalize()] if family.normalize else [])], device="cpu",
        prompts=dict(family.prompts), default_prompt_name=family.default_prompt,
    ).save(str(folder))  # fmt: skip
    return folder
