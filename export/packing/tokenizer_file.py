"""tokenizer.json as an artifact has it: truncation is part of it, padding is not. No PyTorch."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from embedrt.artifact.folder import TOKENIZER_FILE
from embedrt.errors import CheckpointError

__all__ = ["backend_of", "truncation_of", "without_special_tokens", "write_tokenizer"]


def write_tokenizer(tokenizer: Tokenizer, folder: Path, *, max_seq_length: int | None, truncation_side: str) -> None:
    """Write ``tokenizer``, which is changed, into ``folder``, cutting texts at ``max_seq_length`` tokens."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if max_seq_length is not None:
        tokenizer.enable_truncation(max_seq_length, direction=truncation_side)
    # its own save raises a bare Exception where a disk is full
    (folder / TOKENIZER_FILE).write_bytes(tokenizer.to_str(pretty=True).encode())


def backend_of(tokenizer: Any, model: str) -> Tokenizer:
    """What a tokenizer of transformers runs, itself and no copy; ``model`` is whose it is.

    Raises:
        CheckpointError: it exists in Python only.
    """
    backend: Tokenizer | None = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise CheckpointError(
            f"{model} has a {type(tokenizer).__name__}, which runs in Python only: "
            "a checkpoint with a tokenizer.json, or one that transformers can convert to it, is needed"
        )
    return backend


def truncation_of(tokenizer: Tokenizer) -> tuple[int | None, str]:
    """After how many tokens it cuts a text (None: never), and on which side."""
    limit = tokenizer.truncation or {}
    return limit.get("max_length"), str(limit.get("direction", "right"))


def without_special_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """A copy that puts nothing around a text."""
    content = json.loads(tokenizer.to_str())
    content["post_processor"] = None
    return Tokenizer.from_str(json.dumps(content))
