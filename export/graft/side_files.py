"""The files beside the graph: tokenizer.json as the checkpoint means it, and the configuration that others look for."""

import json
import shutil
from pathlib import Path
from typing import Any

from embedrt_export.graft.settings import TokenizerSettings
from embedrt_export.packing.tokenizer_file import write_tokenizer
from tokenizers import Tokenizer

from embedrt.artifact.folder import TOKENIZER_FILE
from embedrt.artifact.hub_files import CONFIG_FILE, SPECIAL_TOKENS_FILE, TOKENIZER_CONFIG_FILE
from embedrt.errors import CheckpointError

__all__ = ["pad_token_id", "read_tokenizer", "write_side_files"]

_COPIED = (CONFIG_FILE, TOKENIZER_CONFIG_FILE, SPECIAL_TOKENS_FILE)
_BERT_NAMES = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
"""transformers' names for what tokenizer.json calls otherwise; transformers' own word counts."""


def read_tokenizer(folder: Path, settings: TokenizerSettings) -> Tokenizer:
    """tokenizer.json, with what the configuration files say otherwise.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{folder} has no {TOKENIZER_FILE}: with transformers installed, type "
            f"python -c \"from transformers import AutoTokenizer as T; T.from_pretrained('{folder}')"
            f".save_pretrained('{folder}')\""
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        _adjust(content, settings)
        return Tokenizer.from_str(json.dumps(content))
    except Exception as error:  # the library raises plain Exception
        raise CheckpointError(f"{path} is not a tokenizer that can be read: {error}. Download it again") from error


def _adjust(content: dict[str, Any], settings: TokenizerSettings) -> None:
    """Let BERT's normalizer be as tokenizer_config.json has it, and lowercase first where that is asked for."""
    normalizer = content.get("normalizer")
    if normalizer is not None and normalizer["type"] == "BertNormalizer":
        normalizer |= {_BERT_NAMES[name]: value for name, value in settings.normalizer.items()}
    if settings.lowercase and not _lowercases(normalizer):
        parts = normalizer["normalizers"] if normalizer and normalizer["type"] == "Sequence" else [normalizer]
        content["normalizer"] = {
            "type": "Sequence",
            "normalizers": [{"type": "Lowercase"}, *[part for part in parts if part is not None]],
        }


def _lowercases(normalizer: dict[str, Any] | None) -> bool:
    """Whether Lowercase is among the normalizers; BERT's own does not count, as sentence-transformers has it."""
    if normalizer is None:
        return False
    return any(part["type"] == "Lowercase" for part in normalizer.get("normalizers", [normalizer]))


def pad_token_id(tokenizer: Tokenizer, settings: TokenizerSettings) -> int:
    """The id of the pad token, by the tokenizer where it knows the token."""
    found = tokenizer.token_to_id(settings.pad_token) if settings.pad_token is not None else None
    if found is None and tokenizer.padding is not None:
        found = tokenizer.padding["pad_id"]
    return int(settings.pad_token_id if found is None else found)


def write_side_files(source: Path, tokenizer: Tokenizer, settings: TokenizerSettings, folder: Path) -> None:
    """Write tokenizer.json with truncation baked in, and copy the configuration."""
    write_tokenizer(tokenizer, folder, max_seq_length=settings.max_seq_length, truncation_side=settings.truncation_side)
    for name in _COPIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
