"""SentenceEncoder: texts in, vectors out. Here the rooms below meet; nothing else is decided here.

The names follow sentence-transformers, so that moving over is one line.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, overload

import numpy as np
import numpy.typing as npt

from embedrt.artifact import locate
from embedrt.batching import plan_batches
from embedrt.errors import InputError
from embedrt.loading import load
from embedrt.progress import Advance, progress
from embedrt.scheduling import Scheduler
from embedrt.session import SENTENCE_EMBEDDING, TOKEN_EMBEDDINGS, GraphSession, parse_device
from embedrt.similarity import normalized, similarity_function
from embedrt.text import as_texts
from embedrt.threads import available_threads
from embedrt.vectors import VectorPrecision, quantize_embeddings, truncated

__all__ = ["SentenceEncoder"]

_TOKEN_BUDGET = {"cpu": 512, "cuda": 16384}
_LENGTH_STEP = {"cpu": 1, "cuda": 8}
_WINDOW = 16384  # texts that are tokenized and grouped at a time
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")  # the first of these that the checkpoint has

Vectors = npt.NDArray[np.float32]


class SentenceEncoder:
    """A sentence-embedding model, ready to encode; safe to share between threads.

    Args:
        model: the folder that ``embedrt export`` wrote, a single .onnx file, or a Hub id.
        variant: a variant that the manifest names (``fp32``, ``int8`` …); None: the manifest's default.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.
        providers: ONNX Runtime's execution providers by name, in place of ``device``.
        threads: None: as many as affinity mask and cgroup quota allow.
        revision: branch, tag or commit of a Hub repository.

    Raises:
        ArtifactError: there is no such model, or it is damaged or foreign.
        UnavailableError: the device or provider is not on this machine.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        variant: str | None = None,
        device: str = "cpu",
        providers: Sequence[str | tuple[str, Mapping[str, Any]]] | None = None,
        threads: int | None = None,
        revision: str | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise InputError(f"threads is {threads}, expected at least 1")
        place = parse_device(device)
        self._kind = place.kind
        self._artifact = locate(
            Path(model) if isinstance(model, os.PathLike) else model, variant=variant, revision=revision
        )

        def open_session(count: int) -> GraphSession:
            return GraphSession(self._artifact.graph, device=place, providers=providers, threads=count)

        loaded = load(self._artifact, lambda: open_session(threads or available_threads()))
        self._serving, self._tokenizer = loaded.serving, loaded.tokenizer
        self._scheduler = Scheduler(
            loaded.session,
            lambda: open_session(1),
            pad_token_id=self._serving.pad_token_id,
            padding_side=self._serving.padding_side,
        )
        self._closed = False

    @overload
    def encode(
        self,
        sentences: str | Sequence[str] | npt.NDArray[np.str_],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: Literal["sentence_embedding"] = "sentence_embedding",
        precision: VectorPrecision = "float32",
        normalize_embeddings: bool | None = None,
        truncate_dim: int | None = None,
    ) -> npt.NDArray[Any]: ...

    @overload
    def encode(
        self,
        sentences: str | Sequence[str] | npt.NDArray[np.str_],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: Literal["token_embeddings"],
        precision: VectorPrecision = "float32",
        normalize_embeddings: bool | None = None,
        truncate_dim: int | None = None,
    ) -> Vectors | list[Vectors]: ...

    def encode(
        self,
        sentences: str | Sequence[str] | npt.NDArray[np.str_],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: Literal["sentence_embedding", "token_embeddings"] = "sentence_embedding",
        precision: VectorPrecision = "float32",
        normalize_embeddings: bool | None = None,
        truncate_dim: int | None = None,
    ) -> npt.NDArray[Any] | list[Vectors]:
        """Vectors of ``sentences``: (dim,) for a str, (n, dim) in input order for a list, (0, dim) for an empty one.

        Args:
            sentences: one text or several.
            prompt_name: which of :attr:`prompts` is put before each text; None: the checkpoint's default, if it has one.
            prompt: a text that is put before each text, in place of a named one.
            batch_size: texts a run; None: as many as a token budget allows, which is faster.
            show_progress_bar: a bar on stderr.
            output_value: ``sentence_embedding``, or ``token_embeddings`` for graphs exported with them: (tokens, hidden) a text.
            precision: ``float32``, or 8 bits or 1 bit a component (:func:`embedrt.vectors.quantize_embeddings`).
            normalize_embeddings: True: length 1, after truncation. None and False: as the graph gives them.
            truncate_dim: keep the first so many components (Matryoshka).

        Raises:
            TypeError: ``sentences`` is neither a str nor a sequence of str.
            InputError: an unknown prompt, precision or width.
        """
        texts = as_texts(sentences)
        self._require_open()
        if batch_size is not None and batch_size < 1:
            raise InputError(f"batch_size is {batch_size}, expected at least 1")
        prefix = self._prompt(prompt, prompt_name)
        with progress(len(texts), shown=bool(show_progress_bar)) as advance:
            if output_value == TOKEN_EMBEDDINGS:
                tokens = self._token_embeddings(texts, prefix, batch_size, advance)
                return tokens[0] if isinstance(sentences, str) else tokens
            if output_value != SENTENCE_EMBEDDING:
                raise InputError(
                    f"output_value is {output_value!r}, expected {SENTENCE_EMBEDDING!r} or {TOKEN_EMBEDDINGS!r}"
                )
            vectors = self._sentence_embeddings(texts, prefix, batch_size, advance)
        vectors = truncated(vectors, truncate_dim)
        stored = quantize_embeddings(normalized(vectors) if normalize_embeddings else vectors, precision)
        return stored[0] if isinstance(sentences, str) else stored

    def encode_query(
        self, sentences: str | Sequence[str], *, prompt_name: str | None = None, **options: Any
    ) -> npt.NDArray[Any]:
        """:meth:`encode` with the prompt called ``query``, where the checkpoint has one."""
        return self._encode_as(sentences, ("query",), prompt_name, options)

    def encode_document(
        self, sentences: str | Sequence[str], *, prompt_name: str | None = None, **options: Any
    ) -> npt.NDArray[Any]:
        """:meth:`encode` with the prompt called ``document``, ``passage`` or ``corpus``, where the checkpoint has one."""
        return self._encode_as(sentences, _DOCUMENT_PROMPTS, prompt_name, options)

    def similarity(self, embeddings1: npt.NDArray[np.floating], embeddings2: npt.NDArray[np.floating]) -> Vectors:
        """Similarity of each row with each row, (n, m), by the checkpoint's own measure."""
        return similarity_function(self._serving.similarity)(embeddings1, embeddings2)

    def similarity_pairwise(
        self, embeddings1: npt.NDArray[np.floating], embeddings2: npt.NDArray[np.floating]
    ) -> Vectors:
        """Similarity of row i with row i, (n,), by the checkpoint's own measure."""
        return similarity_function(self._serving.similarity, pairwise=True)(embeddings1, embeddings2)

    def tokenize(self, sentences: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        """Token ids of each text, special tokens included, cut at :attr:`max_seq_length`."""
        rows = self._tokenizer.encode(as_texts(sentences))
        return [rows.row(index) for index in range(len(rows))]

    def get_sentence_embedding_dimension(self) -> int:
        """Width of a vector."""
        return self._serving.dimension

    @property
    def max_seq_length(self) -> int | None:
        """Tokens, special ones included, after which a text is cut; None: never."""
        return self._tokenizer.max_seq_length

    @property
    def prompts(self) -> dict[str, str]:
        """The checkpoint's prompts by name."""
        return dict(self._serving.prompts)

    @property
    def default_prompt_name(self) -> str | None:
        """The prompt that :meth:`encode` uses where none is named."""
        return self._serving.default_prompt_name

    @property
    def providers(self) -> list[str]:
        """The execution providers that really run the graph, most preferred first."""
        return self._scheduler.session.providers

    @property
    def variant(self) -> str | None:
        """The manifest's name of the graph that runs; None where there is no manifest."""
        return self._artifact.variant

    @property
    def threads(self) -> int:
        """Threads that encoding uses."""
        return self._scheduler.session.threads

    def close(self) -> None:
        """End the worker threads; the encoder cannot be used any more."""
        self._closed = True
        self._scheduler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"SentenceEncoder({str(self._artifact.folder)!r}, variant={self.variant!r}, dimension={self._serving.dimension}, "
            f"max_seq_length={self.max_seq_length}, providers={self.providers})"
        )

    def _require_open(self) -> None:
        if self._closed:
            raise InputError("this encoder was closed: make a new SentenceEncoder")

    def _prompt(self, prompt: str | None, prompt_name: str | None) -> str:
        if prompt is not None:
            return prompt
        name = prompt_name if prompt_name is not None else self._serving.default_prompt_name
        if name is None:
            return ""
        if name not in self._serving.prompts:
            known = ", ".join(sorted(self._serving.prompts)) or "none"
            raise InputError(f"prompt_name is {name!r}, the checkpoint has these prompts: {known}. Or pass prompt='…'")
        return self._serving.prompts[name]

    def _encode_as(
        self,
        sentences: str | Sequence[str],
        roles: tuple[str, ...],
        prompt_name: str | None,
        options: dict[str, Any],
    ) -> npt.NDArray[Any]:
        if prompt_name is None and options.get("prompt") is None:
            prompt_name = next((role for role in roles if role in self._serving.prompts), None)
        vectors: npt.NDArray[Any] = self.encode(sentences, prompt_name=prompt_name, **options)
        return vectors

    def _sentence_embeddings(self, texts: list[str], prefix: str, batch_size: int | None, advance: Advance) -> Vectors:
        vectors = np.empty((len(texts), self._serving.dimension), dtype=np.float32)
        for at in range(0, len(texts), _WINDOW):
            part = vectors[at : at + _WINDOW]

            def store(batch: Any, result: Vectors, _mask: Any, part: Vectors = part) -> None:
                part[batch.rows] = result
                advance(len(batch.rows))

            self._run(texts[at : at + _WINDOW], prefix, batch_size, SENTENCE_EMBEDDING, store)
        return vectors

    def _token_embeddings(
        self, texts: list[str], prefix: str, batch_size: int | None, advance: Advance
    ) -> list[Vectors]:
        if TOKEN_EMBEDDINGS not in self._scheduler.session.outputs:
            raise InputError(
                f"this graph gives no {TOKEN_EMBEDDINGS}: export the checkpoint again with --token-embeddings"
            )
        found: dict[int, Vectors] = {}

        def store(batch: Any, result: Vectors, mask: npt.NDArray[np.int64]) -> None:
            found.update((int(row), result[index][mask[index] == 1]) for index, row in enumerate(batch.rows))
            advance(len(batch.rows))

        self._run(texts, prefix, batch_size, TOKEN_EMBEDDINGS, store)
        return [found[index] for index in range(len(texts))]

    def _run(self, texts: list[str], prefix: str, batch_size: int | None, output: str, store: Any) -> None:
        tokens = self._tokenizer.encode([prefix + text for text in texts] if prefix else texts)
        batches = plan_batches(
            tokens.lengths,
            token_budget=_TOKEN_BUDGET[self._kind],
            length_step=_LENGTH_STEP[self._kind],
            batch_size=batch_size,
        )
        skipped = 0 if self._serving.include_prompt or not prefix else self._prompt_length(prefix)
        self._scheduler.run(tokens, batches, output, store, prompt_length=skipped)

    def _prompt_length(self, prefix: str) -> int:
        """Tokens of the prompt, without the special token that ends a text, if there is one."""
        rows = self._tokenizer.encode([prefix, ""])
        prompt, ending = rows.row(0), rows.row(1)[-1:]
        return len(prompt) - int(len(ending) > 0 and prompt[-1] == ending[0])
