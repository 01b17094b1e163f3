"""The models of a server by name, and the places that they are loaded from."""

from collections.abc import Iterator
from pathlib import Path

from embedrt.artifact.kinds import CLASSES
from embedrt.artifact.manifest import MANIFEST_FILE
from embedrt.errors import ArtifactNotFoundError, InputError, KindError
from embedrt.server.dense import DenseModel
from embedrt.server.held import Held
from embedrt.server.hybrid import HybridModel
from embedrt.server.refusals import Refusal
from embedrt.server.reranker import Reranker
from embedrt.server.settings import ModelSource, ServerSettings
from embedrt.server.sparse import SparseModel

__all__ = ["Registry", "Runnable", "model_source", "sources_in"]

_CLASSES: dict[str, type[DenseModel] | type[Reranker] | type[SparseModel]] = {
    "dense": DenseModel,
    "cross-encoder": Reranker,
    "sparse": SparseModel,
}
"""What serves a kind of model."""
Runnable = DenseModel | Reranker | SparseModel


class Registry:
    """Every model that is served; the first answers where a request names none."""

    def __init__(self, models: dict[str, Runnable], aliases: dict[str, str]) -> None:
        self.models = models
        self._known = {**models, **{alias: models[name] for alias, name in aliases.items()}}
        self._first = next(iter(models.values()))

    @classmethod
    def load(cls, settings: ServerSettings) -> "Registry":
        """Load every model.

        Raises:
            KindError: one is of a kind that the server has no routes for.
        """
        models = {source.name: _model(source, threads=settings.threads) for source in settings.models}
        return cls(models, settings.aliases)

    def __iter__(self) -> Iterator[Runnable]:
        return iter(self.models.values())

    def named(self, name: str | None) -> Runnable:
        """The model of that name or alias; the first one for None.

        Raises:
            Refusal: there is none.
        """
        if name is None:
            return self._first
        model = self._known.get(name)
        if model is None:
            raise Refusal(
                "unknown_model",
                f"The model {name[:200]!r} does not exist; this server has {', '.join(self._known)}",
                param="model",
            )
        return model


def _model(source: ModelSource, *, threads: int | None) -> Runnable:
    held = Held.load(source, threads=threads)
    kind = held.serving.kind
    if kind not in _CLASSES:
        raise KindError(
            f"{source.location} is a {kind} model, the server takes {' and '.join(_CLASSES)} ones: load it with {CLASSES[kind]}",
            kinds=(kind,),
        )
    if kind == "dense" and held.serving.sparse is not None:
        return HybridModel(held)
    return _CLASSES[kind](held)


def model_source(text: str, *, variant: str | None = None, revision: str | None = None) -> ModelSource:
    """``ARTIFACT`` or ``NAME=ARTIFACT``; without a name a model is called as its folder is, or as its Hub id.

    >>> model_source("mini=models/minilm").name, model_source("models/minilm/").name, model_source("org/model").name
    ('mini', 'minilm', 'org/model')
    """
    name, separator, location = text.rpartition("=")
    if separator and not name:
        raise InputError(f"{text} names a model by nothing, expected NAME=ARTIFACT")
    path = Path(location).expanduser()
    if not name:
        name = path.resolve().stem if path.is_file() else path.resolve().name if path.exists() else _last(location)
    return ModelSource(name=name, location=location, variant=variant, revision=revision)


def _last(location: str) -> str:
    """A Hub id as it is, and the last part of a longer path."""
    return location if location.count("/") == 1 and not location.endswith("/") else Path(location).name


def sources_in(folder: Path, *, variant: str | None = None) -> list[ModelSource]:
    """The artifacts in the folders of ``folder``, each by its folder's name.

    Raises:
        ArtifactNotFoundError: there are none.
    """
    found = sorted(path.parent for path in folder.glob(f"*/{MANIFEST_FILE}"))
    if not found:
        raise ArtifactNotFoundError(
            f"no folder of {folder} has an {MANIFEST_FILE}: pass a folder of folders that embedrt export wrote"
        )
    return [ModelSource(name=path.name, location=str(path), variant=variant) for path in found]
