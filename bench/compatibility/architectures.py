"""Small random checkpoints of the architectures that sentence encoders are made of, saved by sentence-transformers itself.

Each has the real configuration class, two layers, 32 dimensions, and the kind of tokenizer, pooling and padding side that
models of its family have. Weights are stirred, so that a mistake in any layer shows in the vectors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from embedrt_bench.compatibility.tokenizers import TokenizerKind, small_tokenizer
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

__all__ = ["ARCHITECTURES", "Architecture", "save_checkpoint", "save_plain"]

_POSITIONS, _MAX_LENGTH = 64, 48
_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": _POSITIONS,
}
_DECODER = {**_SIZES, "num_key_value_heads": 2, "head_dim": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One architecture, as small as it gets."""

    config: str
    """Its configuration class in transformers."""
    sizes: dict[str, Any]
    tokenizer: TokenizerKind = "wordpiece"
    pooling: str = "mean"
    padding_side: str = "right"
    model: str = "AutoModel"
    """The class that its weights are made and saved by."""
    families: str = ""
    """Well-known checkpoints of this architecture."""


def _decoder(config: str, families: str, padding_side: str = "left", **more: Any) -> Architecture:
    return Architecture(
        config=config, sizes={**_DECODER, **more}, tokenizer="byte-level bpe", pooling="lasttoken",
        padding_side=padding_side, families=families,
    )  # fmt: skip


def _xlm(config: str, families: str, kind: TokenizerKind = "unigram", pooling: str = "mean") -> Architecture:
    return Architecture(config=config, sizes=_SIZES, tokenizer=kind, pooling=pooling, families=families)


ARCHITECTURES: dict[str, Architecture] = {
    "bert": Architecture(config="BertConfig", sizes=_SIZES, pooling="cls", families="all-MiniLM, BGE, GTE, E5, LaBSE, text2vec"),
    "roberta": _xlm("RobertaConfig", "all-distilroberta, all-roberta-large", "byte-level bpe"),
    "xlm-roberta": _xlm("XLMRobertaConfig", "multilingual-e5, BGE-M3, paraphrase-xlm-r", pooling="cls"),
    "camembert": _xlm("CamembertConfig", "sentence-camembert"),
    "electra": Architecture(config="ElectraConfig", sizes={**_SIZES, "embedding_size": 16}, families="KoELECTRA sentence models"),
    "ernie": Architecture(config="ErnieConfig", sizes=_SIZES, families="text2vec-base-chinese-sentence"),
    "distilbert": Architecture(
        config="DistilBertConfig",
        sizes={"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": _POSITIONS},
        families="distiluse, msmarco-distilbert, multi-qa-distilbert",
    ),
    "albert": Architecture(
        config="AlbertConfig", sizes={**_SIZES, "embedding_size": 16}, tokenizer="unigram", families="paraphrase-albert",
    ),
    "mpnet": Architecture(config="MPNetConfig", sizes=_SIZES, families="all-mpnet, multi-qa-mpnet, paraphrase-mpnet"),
    "deberta-v2": Architecture(
        config="DebertaV2Config",
        sizes={
            **_SIZES, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16,
            "norm_rel_ebd": "layer_norm", "share_att_key": True,
        },
        tokenizer="unigram", pooling="cls", families="mdeberta and deberta-v3 sentence models",
    ),
    "modernbert": Architecture(
        config="ModernBertConfig", sizes={**_SIZES, "local_attention": 8, "global_attn_every_n_layers": 2},
        tokenizer="byte-level bpe", families="gte-modernbert, nomic modernbert-embed",
    ),
    "nomic_bert": Architecture(config="NomicBertConfig", sizes=_SIZES, families="nomic-embed-text"),
    "eurobert": Architecture(
        config="EuroBertConfig", sizes={**_SIZES, "num_key_value_heads": 2, "head_dim": 8},
        tokenizer="byte-level bpe", families="EuroBERT embedders",
    ),
    "t5": Architecture(
        config="T5Config",
        sizes={"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "relative_attention_num_buckets": 8},
        tokenizer="unigram", model="T5EncoderModel", families="sentence-t5, gtr-t5",
    ),
    "qwen3": _decoder("Qwen3Config", "Qwen3-Embedding"),
    "gemma3_text": Architecture(
        config="Gemma3TextConfig",
        sizes={**_DECODER, "use_bidirectional_attention": True, "sliding_window": 16, "query_pre_attn_scalar": 8},
        tokenizer="unigram", families="EmbeddingGemma",
    ),
    "mistral": _decoder("MistralConfig", "e5-mistral, SFR-Embedding"),
    "llama": _decoder("LlamaConfig", "llama embedders", padding_side="right"),
}  # fmt: skip


def save_checkpoint(name: str, folder: Path, *, pooling: str | None = None) -> Path:
    """A checkpoint of ``ARCHITECTURES[name]``, transformer, pooling and normalization, in ``folder``."""
    plain = save_plain(name, folder.with_name(f"{folder.name}-plain"))
    transformer = Transformer(str(plain))
    width = transformer.get_embedding_dimension()
    pooled = Pooling(width, pooling_mode=pooling or ARCHITECTURES[name].pooling)
    SentenceTransformer(modules=[transformer, pooled, Normalize()], device="cpu").save(str(folder))
    return folder


def save_plain(name: str, folder: Path, *, tokenizer: TokenizerKind | None = None, model: str | None = None) -> Path:
    """The transformer of ``ARCHITECTURES[name]`` as transformers saves it; ``tokenizer`` and ``model`` in place of its own."""
    chosen = ARCHITECTURES[name]
    pieces = small_tokenizer(tokenizer or chosen.tokenizer, max_length=_MAX_LENGTH, padding_side=chosen.padding_side)
    ids = {key: pieces.convert_tokens_to_ids(token) for key, token in _token_roles(pieces).items()}
    config = getattr(transformers, chosen.config)(vocab_size=len(pieces), **ids, **chosen.sizes)
    torch.manual_seed(0)
    _stirred(_made(model or chosen.model, config)).save_pretrained(folder)
    pieces.save_pretrained(folder)
    return folder


def _token_roles(tokenizer: Any) -> dict[str, str]:
    return {
        "pad_token_id": tokenizer.pad_token,
        "bos_token_id": tokenizer.cls_token,
        "eos_token_id": tokenizer.sep_token,
    }


def _made(model: str, config: Any) -> Any:
    kind = getattr(transformers, model)
    maker: Callable[[Any], Any] = kind.from_config if model.startswith("Auto") else kind
    return maker(config)


def _stirred(model: Any) -> Any:
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return model
