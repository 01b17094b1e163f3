"""scikit-learn: vectors of texts as a step of a pipeline, where TfidfVectorizer would stand.

    from embedrt.integrations.scikit_learn import EmbedrtVectorizer

    classifier = make_pipeline(EmbedrtVectorizer("minilm", variant="int8"), LogisticRegression())

What takes scikit-learn's pipelines takes it too: BERTopic, for one.
"""

import os
from collections.abc import Iterable
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from embedrt.encoder import SentenceEncoder
from embedrt.errors import MissingDependencyError
from embedrt.in_role import in_role
from embedrt.integrations.sharing import shared

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
except ImportError as missing:
    raise MissingDependencyError('scikit-learn is not installed: type pip install "embedrt[scikit-learn]"') from missing

__all__ = ["EmbedrtVectorizer"]


class EmbedrtVectorizer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Texts to float32 vectors; nothing is learned, so it is as good before ``fit`` as after.

    The model is loaded when texts come, once in a process for all that name it alike: clones of a grid search share it.
    Pickled, it is its parameters alone.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        role: Literal["query", "document"] | None = None,
        prompt: str | None = None,
        truncate_dim: int | None = None,
        normalize_embeddings: bool | None = None,
        variant: str | None = None,
        device: str = "cpu",
        threads: int | None = None,
        revision: str | None = None,
    ) -> None:
        """Keep the parameters, as scikit-learn wants it; they are checked when texts come.

        Args:
            model: the folder that ``embedrt export`` wrote, a single .onnx file, or a Hub id.
            role: with the checkpoint's prompt for a ``query`` or a ``document``; None: with its default prompt, if it has one.
            prompt: a text that is put before each text, in place of these.
            truncate_dim: keep the first so many components (Matryoshka).
            normalize_embeddings: True: length 1, after truncation.
            variant: fp32, int8 …; None: the manifest's default.
            device: cpu, cuda, cuda:N or auto.
            threads: None: as many as this process may use.
            revision: branch, tag or commit of a Hub repository.
        """
        self.model = model
        self.role = role
        self.prompt = prompt
        self.truncate_dim = truncate_dim
        self.normalize_embeddings = normalize_embeddings
        self.variant = variant
        self.device = device
        self.threads = threads
        self.revision = revision

    def fit(self, X: Iterable[str], y: object = None) -> Self:  # noqa: N803
        """Load the model; ``X`` and ``y`` are not looked at.

        Raises:
            InputError: there is no such role.
            ArtifactError: there is no such model, or it is damaged, foreign, or of another kind.
            UnavailableError: the device is not on this machine.
        """
        in_role(self._loaded(), self.role)
        return self

    def transform(self, X: Iterable[str]) -> npt.NDArray[np.float32]:  # noqa: N803
        """Vectors of texts (a list, an array, a Series), float32 (n, dim).

        Raises:
            TypeError: ``X`` is one text, a table, or has something else among its texts.
            EmbedrtError: as for ``fit``, if it was not called.
        """
        encode = in_role(self._loaded(), self.role)
        return np.asarray(
            encode(
                _texts(X),
                prompt=self.prompt,
                truncate_dim=self.truncate_dim,
                normalize_embeddings=self.normalize_embeddings,
            )
        )

    @property
    def _n_features_out(self) -> int:
        return self.truncate_dim or self._loaded().get_embedding_dimension()

    def _loaded(self) -> SentenceEncoder:
        # held, so that the next call finds it; asked for each time, since parameters can be set anew
        self._encoder = shared(
            SentenceEncoder,
            self.model,
            variant=self.variant,
            device=self.device,
            threads=self.threads,
            revision=self.revision,
        )
        return self._encoder

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_encoder", None)
        return state

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _texts(X: Iterable[str]) -> list[str]:  # noqa: N803
    if isinstance(X, str):
        raise TypeError("X is one text, expected several: pass [X]")
    if (dimensions := getattr(X, "ndim", 1)) != 1:
        raise TypeError(
            f"X has {dimensions} dimensions, expected a list, an array or a Series of texts: name one column"
        )
    return list(X)
