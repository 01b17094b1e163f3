"""A checkpoint's tokenizer, to be asked how it cuts whole texts."""

from embedrt_export.checkpoint import Checkpoint
from embedrt_export.packing.tokenizer_file import without_special_tokens
from tokenizers import Tokenizer

from embedrt.errors import CheckpointError

__all__ = ["plain_tokenizer"]


def plain_tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    """A copy of the tokenizer that neither cuts nor pads.

    Raises:
        CheckpointError: it exists in Python only.
    """
    if isinstance(checkpoint.tokenizer, Tokenizer):  # a static embedding's, which puts nothing around a text
        return _neither_cutting_nor_padding(without_special_tokens(checkpoint.tokenizer))
    backend = getattr(checkpoint.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise CheckpointError(
            f"the checkpoint has a {type(checkpoint.tokenizer).__name__}, which runs in Python only: "
            "its vocabulary cannot be trimmed"
        )
    return _neither_cutting_nor_padding(Tokenizer.from_str(backend.to_str()))


def _neither_cutting_nor_padding(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
