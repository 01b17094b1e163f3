"""What the command line says of how texts are encoded."""

from dataclasses import dataclass
from typing import Literal

from embedrt.sparse_forms import Form

__all__ = ["Asked"]

Role = Literal["query", "document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says of how texts are encoded, beyond options that dense vectors alone have."""

    model: str
    variant: str | None = None
    device: str = "cpu"
    threads: int | None = None
    revision: str | None = None
    prompt_name: str | None = None
    prompt: str | None = None
    batch_size: int | None = None
    role: Role | None = None
    max_active_dims: int | None = None
    """Terms of a sparse vector at most; None: as many as the model says."""
    form: Form = "qdrant"
    """Of sparse vectors in JSON."""
    shown: bool = False
    """Whether there is a progress bar."""
