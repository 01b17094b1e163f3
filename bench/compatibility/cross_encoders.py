"""Look-alikes of cross-encoders: small random checkpoints, with the tokenizer, labels, activation and head of each family."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from embedrt_bench.compatibility.architectures import ARCHITECTURES
from embedrt_bench.compatibility.tokenizers import small_tokenizer
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.cross_encoder.modules import LogitScore
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import processors
from torch import nn

__all__ = ["CROSS_ENCODERS", "Look", "save_cross_encoder"]

_NLI = ("contradiction", "entailment", "neutral")
_TYPED = ("input_ids", "token_type_ids", "attention_mask")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one family looks like."""

    architecture: str
    """Key of :data:`embedrt_bench.compatibility.architectures.ARCHITECTURES`."""
    note: str
    """For the documents."""
    pair: str = "<c> $A <s> <s> $B <s>"
    """How the tokenizer joins two texts; ``<c>`` begins and ``<s>`` ends one, ``:1`` gives token type 1."""
    types: bool = False
    """Whether the tokenizer hands token types on."""
    labels: tuple[str, ...] = ()
    """Names of several scores; empty: one score."""
    head: str = "classification"
    """``classification``, ``causal`` (LogitScore), or ``dense`` (Pooling and Dense)."""
    activation: type[nn.Module] | None = None
    """None: the folder is a plain transformers one, which names none."""
    old: bool = False
    """Whether the activation stands where sentence-transformers before version 4 wrote it."""
    sizes: Mapping[str, Any] = field(default_factory=dict)
    """In place of those of the architecture."""


_BERT: dict[str, Any] = {"pair": "<c> $A <s> $B:1 <s>:1", "types": True}

CROSS_ENCODERS: dict[str, Look] = {
    "MS-MARCO MiniLM": Look(architecture="bert", activation=nn.Identity, note="one logit, token types", **_BERT),
    "MS-MARCO MiniLM, saved before version 4": Look(
        architecture="bert", activation=nn.Identity, old=True, note="activation in config.json", **_BERT
    ),
    "STS benchmark RoBERTa": Look(architecture="roberta", activation=nn.Sigmoid, note="one score, sigmoid"),
    "BGE reranker": Look(architecture="xlm-roberta", note="plain transformers folder, one logit, no token types"),
    "NLI RoBERTa": Look(architecture="roberta", labels=_NLI, activation=nn.Identity, note="three labels"),
    "NLI DeBERTa v3": Look(
        architecture="deberta-v2", labels=_NLI, sizes={"type_vocab_size": 0}, activation=nn.Identity,
        note="three labels; token types that are not read", **_BERT,
    ),
    "mxbai-rerank v1": Look(
        architecture="deberta-v2", sizes={"type_vocab_size": 0}, activation=nn.Sigmoid, note="one score", **_BERT,
    ),
    "DeBERTa v2 with token types": Look(
        architecture="deberta-v2", sizes={"type_vocab_size": 2}, activation=nn.Sigmoid, note="token types are read", **_BERT,
    ),
    "MS-MARCO ELECTRA": Look(architecture="electra", activation=nn.Identity, note="one logit, token types", **_BERT),
    "DistilBERT": Look(
        architecture="distilbert", pair="<c> $A <s> $B <s>", activation=nn.Sigmoid, note="a head of its own",
    ),
    "GTE reranker ModernBERT": Look(
        architecture="modernbert", pair="<c> $A <s> $B <s>", activation=nn.Sigmoid, sizes={"classifier_pooling": "cls"},
        note="first token",
    ),
    "ModernBERT, mean": Look(
        architecture="modernbert", pair="<c> $A <s> $B <s>", activation=nn.Sigmoid, sizes={"classifier_pooling": "mean"},
        note="mean of all tokens",
    ),
    "MPNet": Look(architecture="mpnet", activation=nn.Sigmoid, note="a position bias in attention"),
    "ALBERT": Look(architecture="albert", activation=nn.Sigmoid, note="one layer's weights in all", **_BERT),
    "ERNIE": Look(architecture="ernie", activation=nn.Sigmoid, note="Chinese rerankers", **_BERT),
    "Several topics": Look(
        architecture="bert", labels=("politics", "sport"), activation=nn.Sigmoid, note="two labels, each with a sigmoid", **_BERT,
    ),
    "Qwen3 with a score": Look(
        architecture="qwen3", pair="<c> $A $B <s>", note="sequence classification by the last token",
    ),
    "Qwen3, yes or no": Look(
        architecture="qwen3", pair="<c> $A $B <s>", head="causal", activation=nn.Identity, note="LogitScore of a causal model",
    ),
    "Pooling and Dense": Look(
        architecture="bert", head="dense", activation=nn.Sigmoid, note="Transformer, Pooling, Dense on scores", **_BERT,
    ),
}  # fmt: skip
"""By family."""


def save_cross_encoder(name: str, folder: Path) -> Path:
    """A look-alike of ``CROSS_ENCODERS[name]`` in ``folder``."""
    look = CROSS_ENCODERS[name]
    plain = folder if look.activation is None else folder.with_name(f"{folder.name}-plain")
    _save_plain(look, plain)
    if look.activation is None:
        return folder
    torch.manual_seed(1)
    CrossEncoder(modules=_modules(look, plain), device="cpu", activation_fn=look.activation()).save(str(folder))
    if look.old:
        _as_before(folder, look.activation)
    return folder


def _modules(look: Look, plain: Path) -> list[Any]:
    if look.head == "classification":
        return [Transformer(str(plain), transformer_task="sequence-classification")]
    if look.head == "causal":
        return [
            Transformer(str(plain), transformer_task="text-generation"),
            LogitScore(true_token_id=7, false_token_id=11),
        ]
    transformer = Transformer(str(plain))
    width = transformer.get_embedding_dimension()
    dense = Dense(width, 1, activation_function=nn.Identity(), module_output_name="scores")
    return [transformer, Pooling(width, pooling_mode="mean"), dense]


def _save_plain(look: Look, folder: Path) -> None:
    chosen = ARCHITECTURES[look.architecture]
    tokenizer = small_tokenizer(chosen.tokenizer, max_length=48, padding_side=chosen.padding_side)
    first, last = tokenizer.cls_token, tokenizer.sep_token
    ends = [(token, tokenizer.convert_tokens_to_ids(token)) for token in (first, last)]
    pair = look.pair.replace("<c>", first).replace("<s>", last)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", pair=pair, special_tokens=ends
    )
    labels: dict[str, Any] = {"num_labels": max(1, len(look.labels))}
    if look.labels:
        names = dict(enumerate(look.labels))
        labels = {"id2label": names, "label2id": {label: number for number, label in names.items()}}
    config = getattr(transformers, chosen.config)(
        vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, bos_token_id=ends[0][1], eos_token_id=ends[1][1],
        **{**chosen.sizes, **look.sizes}, **labels,
    )  # fmt: skip
    heads = {
        "classification": transformers.AutoModelForSequenceClassification,
        "causal": transformers.AutoModelForCausalLM,
        "dense": transformers.AutoModel,
    }
    torch.manual_seed(0)
    model = heads[look.head].from_config(config)
    with torch.no_grad():
        for weight in model.parameters():  # of the size that training leaves, so that a mistake in any layer shows
            weight.add_(torch.randn_like(weight) * 0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if look.types:
        _change(folder / "tokenizer_config.json", model_input_names=list(_TYPED))


def _as_before(folder: Path, activation: type[nn.Module]) -> None:
    """The files of sentence-transformers 3: no modules, and the activation's path in config.json."""
    for name in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    path = f"{activation.__module__}.{activation.__name__}"
    _change(folder / "config.json", sbert_ce_default_activation_function=path)


def _change(path: Path, **keys: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | keys), encoding="utf-8")
