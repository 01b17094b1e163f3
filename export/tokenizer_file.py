"""tokenizer.json as an artifact has it: truncation is part of it, padding is not. No PyTorch."""

from pathlib import Path

from tokenizers import Tokenizer

from embedrt.artifact import TOKENIZER_FILE

__all__ = ["write_tokenizer"]


def write_tokenizer(tokenizer: Tokenizer, folder: Path, *, max_seq_length: int | None, truncation_side: str) -> None:
    """Write ``tokenizer``, which is changed, into ``folder``, cutting texts at ``max_seq_length`` tokens."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if max_seq_length is not None:
        tokenizer.enable_truncation(max_seq_length, direction=truncation_side)
    tokenizer.save(str(folder / TOKENIZER_FILE))
