"""What a user may ask to be changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from embedrt.errors import InputError

__all__ = ["Changes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What was asked for."""

    prompts: Mapping[str, str] = field(default_factory=dict)
    """Texts to put before texts, by name, beside the checkpoint's own."""
    default_prompt: str | None = None
    """The name of the one to use where none is named; None: the checkpoint's."""
    max_seq_length: int | None = None
    """Tokens of a text that are read, special ones included; None: as the checkpoint says."""
    keep_vocabulary_of: tuple[Path, ...] = ()
    """Files of texts, one a line, whose pieces the vocabulary keeps; none: all pieces stay."""
    static: bool = False
    """Distill the encoder into a table of vectors, one a token."""
    whiten: Path | None = None
    """A file of texts, one a line, by which vectors are whitened."""
    dims: int | None = None
    """Width of distilled or whitened vectors; None: 256 of distilled ones, as many as the corpus varies in of whitened ones."""
    sts: Path | None = None
    """A folder of STS files: the report on a distillation tells what it costs on them."""

    def __post_init__(self) -> None:
        if self.dims is not None and self.whiten is None and not self.static:
            raise InputError("dims is for distilled or whitened vectors: pass --static or --whiten CORPUS too")
        if self.dims is not None and self.dims < 1:
            raise InputError(f"dims is {self.dims}, expected at least 1")
        if self.static and (self.prompts or self.default_prompt is not None or self.max_seq_length is not None):
            raise InputError(
                "a distilled encoder is an average of tokens, without prompts or a limit: leave out --static, or --prompt, "
                "--default-prompt and --max-seq-length"
            )
        if self.static and self.whiten is not None:
            raise InputError(
                "an encoder is either distilled or whitened, PCA and weights stand in place of whitening: "
                "leave out --static or --whiten"
            )
