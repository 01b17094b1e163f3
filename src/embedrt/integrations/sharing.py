"""One model in memory for all components of a process that name it alike: for a pipeline's queries and its documents, say."""

import os
import threading
from pathlib import Path
from typing import TypedDict, TypeVar, Unpack
from weakref import WeakValueDictionary

from embedrt.loaded_model import LoadedModel
from embedrt.opening import Opening

__all__ = ["ModelOptions", "shared"]

Model = TypeVar("Model", bound=LoadedModel)


class ModelOptions(TypedDict, total=False):
    """Which graph of a model runs, and where: as :class:`embedrt.SentenceEncoder` takes it."""

    variant: str | None
    device: str
    threads: int | None
    revision: str | None


_LOADED: WeakValueDictionary[tuple[object, ...], LoadedModel] = WeakValueDictionary()
_LOADING = threading.Lock()


def shared(kind: type[Model], model: str | os.PathLike[str], **options: Unpack[ModelOptions]) -> Model:
    """``kind(model, **options)``, or the one that somebody holds already.

    Raises:
        TypeError: an option that there is not.
        EmbedrtError: whatever loading raises.
    """
    known = ModelOptions.__annotations__
    if unknown := options.keys() - known.keys():
        raise TypeError(f"unknown options {', '.join(sorted(unknown))}, expected some of {', '.join(known)}")
    key = (kind, *_place(model), Opening(**options))
    with _LOADING:
        found = _LOADED.get(key)
        if not isinstance(found, kind):
            _LOADED[key] = found = kind(model, **options)
    return found


def _place(model: str | os.PathLike[str]) -> tuple[object, ...]:
    """What tells one model from another: a path from the root, and from when its folder or file is; or a Hub id."""
    try:
        found = Path(model).stat()
    except OSError:
        return (os.fspath(model),)
    return (Path(model).resolve(), found.st_ino, found.st_mtime_ns)
