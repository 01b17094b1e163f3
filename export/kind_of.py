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
}
"""What sentence-transformers 5 and later write into config_sentence_transformers.json."""
_MODULES = {"SpladePooling": "sparse", "SparseStaticEmbedding": "sparse", "MultiVectorMask": "multi-vector"}
"""Modules that no other kind has."""


def kind_of(folder: Path) -> str:
    """``dense``, ``sparse``, ``cross-encoder`` or ``multi-vector``."""
    named = _json(folder / "config_sentence_transformers.json", {}).get("model_type")
    if named in _MODEL_TYPES:
        return _MODEL_TYPES[named]
    modules = [str(entry.get("type", "")).rpartition(".")[2] for entry in _json(folder / "modules.json", [])]
    if modules:
        return next((_MODULES[name] for name in modules if name in _MODULES), "dense")
    architectures = _json(folder / "config.json", {}).get("architectures") or [""]
    return "cross-encoder" if str(architectures[0]).endswith("ForSequenceClassification") else "dense"


def _json(path: Path, nothing: Any) -> Any:
    """The content of a file that may not be there; a damaged one is for those who load it to name."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return nothing
    return content if isinstance(content, type(nothing)) else nothing
