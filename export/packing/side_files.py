"""The files beside the graph: the tokenizer with its truncation, and the configuration that other runtimes look for."""

import json
from pathlib import Path

from embedrt_export.checkpoint import Checkpoint
from embedrt_export.packing.tokenizer_file import backend_of, truncation_of, without_special_tokens, write_tokenizer
from tokenizers import Tokenizer

from embedrt.artifact.folder import TOKENIZER_FILE
from embedrt.artifact.hub_files import CONFIG_FILE, SPECIAL_TOKENS_FILE, TOKENIZER_CONFIG_FILE

__all__ = ["write_side_files"]


def write_side_files(checkpoint: Checkpoint, folder: Path) -> None:
    """tokenizer.json with truncation baked in, and the configuration files that other runtimes look for.

    Raises:
        CheckpointError: the tokenizer exists in Python only.
    """
    if isinstance(checkpoint.tokenizer, Tokenizer):  # a static embedding's: no library has more to read
        plain, (longest, side) = without_special_tokens(checkpoint.tokenizer), truncation_of(checkpoint.tokenizer)
        write_tokenizer(plain, folder, max_seq_length=longest, truncation_side=side)
        return
    backend = backend_of(checkpoint.tokenizer, checkpoint.source.model)
    present = set(folder.glob("*"))
    checkpoint.tokenizer.save_pretrained(folder)
    for extra in set(folder.glob("*")) - present:
        if extra.name not in (TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, SPECIAL_TOKENS_FILE):
            extra.unlink()
    transformer = checkpoint.transformer
    write_tokenizer(
        Tokenizer.from_str(backend.to_str()) if transformer is not None else without_special_tokens(backend),
        folder,
        max_seq_length=checkpoint.max_seq_length,
        truncation_side=checkpoint.tokenizer.truncation_side,
    )
    if transformer is None:
        return
    config = json.dumps(transformer.config.to_diff_dict(), indent=2, ensure_ascii=False, sort_keys=True)
    (folder / CONFIG_FILE).write_text(config + "\n", encoding="utf-8")
