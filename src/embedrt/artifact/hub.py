"""A model as the user names it, to a folder on this machine: local paths as they are, Hub ids through huggingface_hub.

Of a Hub repository only what serving needs is downloaded: the manifest first, then the files of one variant.
"""

import re
from pathlib import Path

from embedrt.errors import ArtifactNotFoundError

__all__ = ["download_file", "is_hub_id"]

_ONLY_IN_WHOLE_DOWNLOADS = ".gitattributes"
"""Every repository has it, and nobody asks for it alone."""


def is_hub_id(model: str) -> bool:
    """Whether ``model``, which is no path on this machine, can be a Hub id: ``name`` or ``organization/name``.

    >>> is_hub_id("BAAI/bge-small-zh-v1.5"), is_hub_id("./minilm"), is_hub_id("out/minilm/onnx/model.onnx")
    (True, False, False)
    """
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", model) is not None and not model.endswith(".onnx")


def download_file(repository: str, filename: str, *, revision: str | None, required: bool) -> Path | None:
    """A file of a Hub repository, from the cache or the Hub; None where it has none and it is not required.

    Raises:
        ArtifactNotFoundError: no such repository, revision or required file, or the Hub cannot be reached.
    """
    from huggingface_hub import (
        _CACHED_NO_EXIST,
        try_to_load_from_cache,
    )  # 40 ms that a local artifact need not wait for
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    try:
        return _downloaded(repository, filename, revision)
    except LocalEntryNotFoundError as error:  # a subclass of EntryNotFoundError, with another meaning
        known = try_to_load_from_cache(repository, filename, revision=revision)
        whole = try_to_load_from_cache(repository, _ONLY_IN_WHOLE_DOWNLOADS, revision=revision)
        if not required and (
            known is _CACHED_NO_EXIST or isinstance(whole, str)
        ):  # the Hub was asked, or gave all it has
            return None
        raise ArtifactNotFoundError(
            f"there is no folder {repository!r} here, and the Hub could not be asked for {filename} of that name: "
            f"{_reason(error.__cause__ or error, repository)}"
        ) from error
    except EntryNotFoundError as error:
        if not required:
            return None
        raise ArtifactNotFoundError(
            f"the Hub repository {repository!r} has no {filename}. If it is a PyTorch checkpoint, "
            f"type: embedrt export {repository} OUT, and load OUT"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise ArtifactNotFoundError(
            f"there is no folder {repository!r} here, and the Hub gave no {filename} of that name: {_reason(error, repository)}"
        ) from error


def _downloaded(repository: str, filename: str, revision: str | None) -> Path:
    """As huggingface_hub gives it, which looks into the cache where no Hub is there, and here where a connection breaks too."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
    from huggingface_hub.errors import HTTPError as TransportError  # type: ignore[attr-defined]  # httpx's or requests'

    try:
        return Path(hf_hub_download(repository, filename, revision=revision))
    except (HfHubHTTPError, EntryNotFoundError):  # an answer of the Hub, or of the cache
        raise
    except (TransportError, OSError) as broken:  # before 1.0 other errors of requests, which are OSErrors
        try:
            return Path(hf_hub_download(repository, filename, revision=revision, local_files_only=True))
        except EntryNotFoundError as error:
            raise error from broken


def _reason(error: BaseException, repository: str) -> str:
    """Why there is nothing, and what to type for a name that lacks its organization, as sentence-transformers' own may."""
    if "/" in repository:
        return str(error)
    whole = f"sentence-transformers/{repository}"
    return f"{str(error).rstrip('.')}. If it is {whole}, type: embedrt export {whole} OUT, and load OUT"
