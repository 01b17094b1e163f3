"""What the command line says of how texts are encoded."""

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from embedrt.in_role import Encodes, in_role
from embedrt.loaded_model import LoadedModel
from embedrt.sparse.forms import Form

__all__ = ["Asked"]

Role = Literal["query", "document"]
Encoder = TypeVar("Encoder", bound=LoadedModel)


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

    def opened(self, kind: type[Encoder]) -> Encoder:
        """The model, loaded as one of ``kind``."""
        return kind(self.model, variant=self.variant, device=self.device, threads=self.threads, revision=self.revision)

    def encoded(self, encoder: Encodes, texts: list[str], **options: Any) -> Any:
        """``texts`` as queries, documents, or neither, with the prompt and batch size that were asked for."""
        prompt = {"prompt_name": self.prompt_name, "prompt": self.prompt}
        return in_role(encoder, self.role)(texts, **prompt, batch_size=self.batch_size, **options)
