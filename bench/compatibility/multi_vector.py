"""Small random late-interaction checkpoints in every layout that they are published in, and BGE-M3's."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from embedrt_bench.compatibility.architectures import save_checkpoint, save_plain
from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

__all__ = ["LATE", "Late", "save_bge_m3", "save_colbert", "save_pylate", "save_stanford"]

_HIDDEN, _DIM = 32, 16
_TOKENS = "token_embeddings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """One kind of checkpoint."""

    architecture: str
    layout: str
    """Whose files they are, and what is special."""
    known: str
    """Well-known checkpoints of the kind."""
    save: Callable[[Path], Path]


def save_colbert(architecture: str, folder: Path, **settings: Any) -> Path:
    """A MultiVectorEncoder of ``ARCHITECTURES[architecture]``; ``settings`` are those of its Transformer."""
    plain = save_plain(architecture, folder.with_name(f"{folder.name}-plain"))
    torch.manual_seed(1)
    projection = Dense(_HIDDEN, _DIM, bias=False, activation_function=torch.nn.Identity(), module_input_name=_TOKENS)
    mask, finish = MultiVectorMask([".", ",", "?", "!"]), Normalize(module_input_name=_TOKENS)
    modules = [Transformer(str(plain), **settings), projection, mask, finish]
    MultiVectorEncoder(modules=modules, prompts={"query": "query: ", "document": "passage: "}, device="cpu").save(
        str(folder)
    )
    return folder


def save_stanford(folder: Path) -> Path:
    """As Stanford's ColBERT saves it: the projection among the transformer's weights, and artifact.metadata."""
    save_plain("bert", folder)
    weights = {f"bert.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    torch.manual_seed(2)
    save_file({**weights, "linear.weight": torch.randn(_DIM, _HIDDEN)}, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    _write(folder / "config.json", {**config, "architectures": ["HF_ColBERT"]})
    _write(folder / "artifact.metadata", {"query_maxlen": 16, "doc_maxlen": 36, "mask_punctuation": True})
    return folder


def save_pylate(folder: Path) -> Path:
    """As PyLate saves it: a transformer and a Dense, everything else in config_sentence_transformers.json."""
    plain = save_plain("bert", folder.with_name(f"{folder.name}-plain"))
    Transformer(str(plain), max_seq_length=36).save(str(folder))
    (folder / "1_Dense").mkdir()
    torch.manual_seed(3)
    save_file({"linear.weight": torch.randn(_DIM, _HIDDEN)}, folder / "1_Dense" / "model.safetensors")
    dense = {"in_features": _HIDDEN, "out_features": _DIM, "bias": False}
    _write(folder / "1_Dense" / "config.json", {**dense, "activation_function": "torch.nn.modules.linear.Identity"})
    modules = [("", "sentence_transformers.models.Transformer"), ("1_Dense", "pylate.models.Dense.Dense")]
    _write(
        folder / "modules.json",
        [{"idx": at, "name": str(at), "path": path, "type": kind} for at, (path, kind) in enumerate(modules)],
    )
    prefixes = {"query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 14, "document_length": 30}
    _write(folder / "config_sentence_transformers.json", {**prefixes, "attend_to_expansion_tokens": False})
    return folder


def save_bge_m3(folder: Path) -> Path:
    """XLM-R with CLS pooling and normalization, and both heads as FlagEmbedding saves them."""
    save_checkpoint("xlm-roberta", folder)
    torch.manual_seed(5)
    for name, width in (("colbert_linear.pt", _HIDDEN), ("sparse_linear.pt", 1)):
        torch.save(torch.nn.Linear(_HIDDEN, width).state_dict(), folder / name)
    return folder


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _expanding(**expansion: Any) -> dict[str, Any]:
    return {"query_expansion": {"strategy": "fixed", "length": 12, **expansion}, "document_length": 30}


LATE: dict[str, Late] = {
    "colbert": Late(
        architecture="bert", layout="sentence-transformers, queries expanded", known="answerai-colbert-small",
        save=partial(save_colbert, "bert", **_expanding()),
    ),
    "colbert, attended": Late(
        architecture="bert", layout="sentence-transformers, expansion attended", known="ColBERTs trained so",
        save=partial(save_colbert, "bert", **_expanding(attend=True)),
    ),
    "modern colbert": Late(
        architecture="modernbert", layout="sentence-transformers, queries expanded", known="GTE-ModernColBERT, LateOn",
        save=partial(save_colbert, "modernbert", **_expanding()),
    ),
    "xlm colbert": Late(
        architecture="xlm-roberta", layout="sentence-transformers, queries expanded", known="multilingual ColBERTs",
        save=partial(save_colbert, "xlm-roberta", **_expanding()),
    ),
    "decoder colbert": Late(
        architecture="qwen3", layout="sentence-transformers, lengths by role, padded on the left", known="ColBERTs on decoders",
        save=partial(save_colbert, "qwen3", query_length=12, document_length=30),
    ),
    "stanford": Late(
        architecture="bert", layout="Stanford's ColBERT: HF_ColBERT, artifact.metadata", known="colbertv2.0", save=save_stanford,
    ),
    "pylate": Late(
        architecture="bert", layout="PyLate before its version 4", known="checkpoints of PyLate", save=save_pylate,
    ),
    "bge-m3": Late(
        architecture="xlm-roberta", layout="FlagEmbedding: three outputs of one graph", known="BGE-M3", save=save_bge_m3,
    ),
}  # fmt: skip
