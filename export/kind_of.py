"""Which kind of model a checkpoint is, by its files; nothing is loaded."""

import json
from pathlib import Path
from typing import Any

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
    """``dense``, ``sparse``, ``cross-encoder`` or ``multi-vector``."""
    settings = _json(folder / "config_sentence_transformers.json", {})
    if (named := settings.get("model_type")) in _MODEL_TYPES:
        return _MODEL_TYPES[named]
    if named is None and any(key in settings for key in _PYLATE):
        return "multi-vector"
    modules = [str(entry.get("type", "")).rpartition(".")[2] for entry in _json(folder / "modules.json", [])]
    if modules:
        return next((_MODULES[name] for name in modules if name in _MODULES), "dense")
    return _kind_of_transformer([str(name) for name in _json(folder / "config.json", {}).get("architectures") or []])


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
