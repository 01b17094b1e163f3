"""Ray Data: vectors for the texts of a data set, on as many machines as a cluster has.

    from embedrt.integrations.ray import EmbedTexts

    embedded = dataset.map_batches(
        EmbedTexts, fn_constructor_kwargs={"model": "minilm", "variant": "int8"}, batch_size=4096, num_cpus=4, concurrency=8
    )

One machine needs no cluster: ``embedrt map``.
"""

import os
from collections.abc import Mapping
from typing import Any, Literal, Unpack

from embedrt.encoder import SentenceEncoder
from embedrt.errors import InputError, MissingDependencyError
from embedrt.in_role import in_role
from embedrt.integrations.sharing import ModelOptions, shared

try:
    import ray
except ImportError as missing:
    raise MissingDependencyError('Ray is not installed: type pip install "embedrt[ray]"') from missing

__all__ = ["EmbedTexts"]


class EmbedTexts:
    """Puts a column of vectors beside one of texts; made once in each worker, for the processors that Ray gave it."""

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        text_column: str = "text",
        output_column: str = "embedding",
        role: Literal["query", "document"] | None = None,
        prompt: str | None = None,
        truncate_dim: int | None = None,
        normalize_embeddings: bool | None = None,
        **options: Unpack[ModelOptions],
    ) -> None:
        """Load ``model``.

        Args:
            model: the folder that ``embedrt export`` wrote, a single .onnx file, or a Hub id; each machine must find it.
            text_column: where the texts are.
            output_column: where the vectors go, float32 (rows, dim).
            role: with the checkpoint's prompt for a ``query`` or a ``document``; None: with its default prompt, if it has one.
            prompt: a text that is put before each text, in place of these.
            truncate_dim: keep the first so many components (Matryoshka).
            normalize_embeddings: True: length 1, after truncation.
            **options: ``variant``, ``device``, ``threads``, ``revision`` of :class:`embedrt.SentenceEncoder`; as many threads as
                the worker has processors (``num_cpus``), where nothing else is said.

        Raises:
            InputError: there is no such role.
            ArtifactError: there is no such model, or it is damaged, foreign, or of another kind.
            UnavailableError: the device is not on this machine.
        """
        options.setdefault("threads", _processors())
        encoder = shared(SentenceEncoder, model, **options)
        self._encode = in_role(encoder, role)
        self._how = {"prompt": prompt, "truncate_dim": truncate_dim, "normalize_embeddings": normalize_embeddings}
        self._text_column, self._output_column = text_column, output_column

    def __call__(self, batch: Any) -> dict[str, Any]:
        """The batch, columns of numpy arrays by name, with one more.

        Raises:
            TypeError: the batch is of another format, or a text is no str.
            InputError: there is no such column.
        """
        if not isinstance(batch, Mapping):
            came = type(batch).__name__
            raise TypeError(f'a batch is a {came}, expected columns of numpy arrays: leave batch_format at "numpy"')
        if self._text_column not in batch:
            raise InputError(f"there is no column {self._text_column!r} among {', '.join(batch)}: pass text_column=…")
        vectors = self._encode(list(batch[self._text_column]), **self._how)  # (rows, dim)
        return {**batch, self._output_column: vectors}


def _processors() -> int | None:
    """How many Ray gave this worker; None where it is no worker, or has no whole one."""
    if not ray.is_initialized():
        return None
    context: Any = ray.get_runtime_context()
    return int(context.get_assigned_resources().get("CPU", 0)) or None
