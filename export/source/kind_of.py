"""Which kind of model a checkpoint is, by its files; nothing is loaded."""

import json
from pathlib import Path
from typing import Any

from embedrt_export.source.hybrid_heads import has_heads

from embedrt.artifact.hub_files import CONFIG_FILE, MODULES_FILE, SETTINGS_FILE

__all__ = ["kind_of"]

_MODEL_TYPES = {
    "SentenceTransformer": "dense",
    "SparseEncoder": "sparse",
    "CrossEncoder": "cross-encoder",
    "MultiVectorEncoder": "multi-vector",
    "ColBERT": "multi-vector",
}
"""What sentence-transformers 5 and later, and PyLate, write into config_sentence_transformers.json."""
_MODULES = {"SpladePooling": "sparse", "SparseStaticEmbedding": "sparse", "MultiVectorMask": "multi-vector"}
"""Modules that no other kind has."""
_PYLATE = ("query_prefix", "document_prefix", "do_query_expansion", "attend_to_expansion_tokens", "skiplist_words")
"""What PyLate wrote into that file before it named the model's type."""
_STANFORD = "HF_ColBERT"
"""The architecture that Stanford's ColBERT writes into config.json."""


def kind_of(folder: Path) -> str:
    """``dense``, ``sparse``, ``cross-encoder``, ``multi-vector``, or ``hybrid`` where a dense one has further heads."""
    settings = _json(folder / SETTINGS_FILE, {})
    if (named := settings.get("model_type")) in _MODEL_TYPES:
        return _with_heads(_MODEL_TYPES[named], folder)
    if named is None and any(key in settings for key in _PYLATE):
        return "multi-vector"
    modules = [str(entry.get("type", "")).rpartition(".")[2] for entry in _json(folder / MODULES_FILE, [])]
    if modules:
        return _with_heads(next((_MODULES[name] for name in modules if name in _MODULES), "dense"), folder)
    return _kind_of_transformer([str(name) for name in _json(folder / CONFIG_FILE, {}).get("architectures") or []])


def _with_heads(kind: str, folder: Path) -> str:
    return "hybrid" if kind == "dense" and has_heads(folder) else kind


def _kind_of_transformer(architectures: list[str]) -> str:
    if _STANFORD in architectures:
        return "multi-vector"
    return "cross-encoder" if any(name.endswith("ForSequenceClassification") for name in architectures[:1]) else "dense"


def _json(path: Path, nothing: Any) -> Any:
    """The content of a file that may not be there; a damaged one is for those who load it to name."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return nothing
    return content if isinstance(content, type(nothing)) else nothing
