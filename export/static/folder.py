"""Model2Vec's folders: config.json, tokenizer.json, and model.safetensors with ``embeddings``.

``mapping``, where there is one, says which row each token has (vocabularies that were clustered), ``weights`` a factor for each
token; both are folded into one row a token. The integers of a quantized table are taken as they are: Model2Vec forgets their
scale too, and normalizes behind it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from embedrt_export.static.embedding import LeftOutUnknown
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize
from tokenizers import Tokenizer

from embedrt.artifact.folder import TOKENIZER_FILE
from embedrt.artifact.hub_files import CONFIG_FILE
from embedrt.errors import CheckpointError

__all__ = ["MODEL2VEC", "is_model2vec", "load_model2vec"]

MODEL2VEC = "model2vec"
_LONGEST = 512
"""Tokens that model2vec's encoder reads where config.json names no ``max_length``."""
_NEEDED = (TOKENIZER_FILE, "model.safetensors")
_TABLE = "embeddings"


def is_model2vec(folder: Path) -> bool:
    """Whether config.json says so, or the table has the name that Model2Vec gives it: its writers may leave config.json bare."""
    if _config(folder).get("model_type") == MODEL2VEC:
        return True
    try:
        with safe_open(folder / _NEEDED[1], framework="numpy") as arrays:
            return _TABLE in arrays.keys()  # noqa: SIM118  no mapping
    except (OSError, SafetensorError):
        return False


def _config(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def load_model2vec(folder: Path) -> SentenceTransformer:
    """The model in ``folder``, cutting texts as model2vec's own encoder does.

    Raises:
        CheckpointError: a file is missing or damaged, or table and vocabulary are not of the same size.
    """
    config = _config(folder)
    for name in _NEEDED:
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} lacks {name}, which a Model2Vec folder has: download the checkpoint again")
    tokenizer = _tokenizer(folder / _NEEDED[0])
    table = _table(folder / _NEEDED[1], tokenizer.get_vocab_size())
    module = LeftOutUnknown(tokenizer, table, max_length=config.get("max_length", _LONGEST))
    return SentenceTransformer(modules=[module, *([Normalize()] if config.get("normalize") else [])], device="cpu")


def _tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:
        raise CheckpointError(f"{path} is not a tokenizer that can be read: {error}") from error


def _table(path: Path, tokens: int) -> npt.NDArray[np.float32]:
    """A row a token, (tokens, dim)."""
    arrays = _arrays(path)
    table, mapping, weights = arrays[_TABLE].astype(np.float32), arrays.get("mapping"), arrays.get("weights")
    if table.ndim != 2:
        raise CheckpointError(
            f"{path} holds {_TABLE} of shape {table.shape}, expected (tokens, dim): the file is damaged"
        )
    if mapping is not None:
        table = _mapped(table, mapping, path)
    if len(table) < tokens:
        raise CheckpointError(
            f"{path} holds vectors for {len(table)} tokens, but tokenizer.json has {tokens}: "
            "one of the two is of another checkpoint"
        )
    if weights is not None:
        _require_one_each("weights", weights, len(table), path)
        table *= weights.astype(np.float32)[: len(table), None]
    if not np.isfinite(table).all():
        raise CheckpointError(f"{path} holds numbers that are not finite: the file is damaged")
    return table


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        arrays: dict[str, npt.NDArray[Any]] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}. Download the checkpoint again") from error
    if _TABLE not in arrays:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise CheckpointError(f"{path} holds {found}, expected {_TABLE}, the vectors of the tokens")
    return arrays


def _mapped(table: npt.NDArray[np.float32], mapping: npt.NDArray[Any], path: Path) -> npt.NDArray[np.float32]:
    """The row of ``table`` that ``mapping`` has for each token."""
    _require_one_each("mapping", mapping, 0, path)
    if len(mapping) and not 0 <= int(mapping.min()) <= int(mapping.max()) < len(table):
        raise CheckpointError(f"{path} maps a token to row {int(mapping.max())} of {len(table)}: the file is damaged")
    return table[mapping.astype(np.int64)]


def _require_one_each(name: str, array: npt.NDArray[Any], tokens: int, path: Path) -> None:
    if array.ndim != 1 or len(array) < tokens:
        raise CheckpointError(
            f"{path} holds {name} of shape {array.shape}, expected one number for each of {tokens or 'all'} tokens: "
            "the file is damaged"
        )
