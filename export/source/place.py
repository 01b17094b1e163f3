"""Where a checkpoint lies: a folder on this machine, or a repository of the Hub, which is downloaded."""

from pathlib import Path

from embedrt_export.source.diagnosis import first_line
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.errors import HTTPError as TransportError  # type: ignore[attr-defined]  # httpx's or requests'
from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder

from embedrt.artifact.hub import is_hub_id
from embedrt.errors import CheckpointError

__all__ = ["folder_of"]

_NOT_NEEDED = (
    "*.h5",
    "*.msgpack",
    "*.ot",
    "*.onnx",
    "*.gguf",
    "*.tflite",
    "onnx/*",
    "openvino/*",
    "*.mlpackage/*",
)
_ORGANIZATIONS = tuple(
    kind.default_huggingface_organization for kind in (SentenceTransformer, CrossEncoder, SparseEncoder)
)
"""Where sentence-transformers looks for a name without one."""


def folder_of(model: str, revision: str | None) -> tuple[Path, str, str | None]:
    """The folder of ``model`` on this machine, what it is called, and its commit if it came from the Hub.

    Raises:
        CheckpointError: there is no such folder here, and no such repository.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder, folder.resolve().name, None
    if folder.is_file():
        raise CheckpointError(
            f"{model} is a file: pass the folder of a checkpoint. A file of word vectors: "
            f"embedrt export --word-vectors {model} OUT"
        )
    if not is_hub_id(model):
        raise CheckpointError(f"there is no folder at {model}: pass a checkpoint's folder, or a Hub id")
    try:
        name, snapshot = _downloaded(model, revision)
    except (TransportError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"there is no folder at {model}, and the Hub gave none of that name: {first_line(error)}"
        ) from error
    return snapshot, name, snapshot.name


def _downloaded(model: str, revision: str | None) -> tuple[str, Path]:
    """The first repository that there is, and where it was put."""
    names = [model] if "/" in model else [model, *(f"{organization}/{model}" for organization in _ORGANIZATIONS)]
    missing: Exception | None = None
    for name in names:
        try:
            return name, Path(snapshot_download(name, revision=revision, ignore_patterns=list(_NOT_NEEDED)))
        except (RepositoryNotFoundError, LocalEntryNotFoundError) as error:
            missing = missing or error
    assert missing is not None  # noqa: S101  there is a name
    raise missing
