"""SentenceEncoder: texts in, vectors out. Here the rooms below meet; nothing else is decided here.

The names follow sentence-transformers, so that moving over is one line.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, overload

import numpy as np
import numpy.typing as npt

from embedrt.devices import Providers
from embedrt.encoding import Encoding, Request
from embedrt.errors import InputError
from embedrt.layout import Layout
from embedrt.opening import Opening, open_model
from embedrt.progress import Advance, progress
from embedrt.prompts import prompt_for, prompt_name_for
from embedrt.session import SENTENCE_EMBEDDING, TOKEN_EMBEDDINGS
from embedrt.similarity import similarity_function
from embedrt.text import as_texts
from embedrt.vectors import VectorPrecision, finishing

__all__ = ["SentenceEncoder"]

_PRECISIONS_OF_ONE = ("float32", "binary", "ubinary")  # the others need the ranges of a corpus

Vectors = npt.NDArray[np.float32]


class SentenceEncoder:
    """A sentence-embedding model, ready to encode; safe to share between threads.

    Args:
        model: the folder that ``embedrt export`` wrote, a single .onnx file, or a Hub id.
        variant: a variant that the manifest names (``fp32``, ``int8`` …); None: the manifest's default.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.
        providers: ONNX Runtime's execution providers by name, in place of ``device``.
        threads: None: as many as affinity mask and cgroup quota allow.
        layout: threads, workers and tokens a run; None: what ``embedrt tune`` found here, else the defaults.
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
        providers: Providers | None = None,
        threads: int | None = None,
        layout: Layout | None = None,
        revision: str | None = None,
    ) -> None:
        opening = Opening(
            variant=variant, device=device, providers=providers, threads=threads, layout=layout, revision=revision
        )
        opened = open_model(model, opening, kind="dense")
        self._artifact, self._layout = opened.artifact, opened.layout
        self._session, self._serving, self._tokenizer = opened.session, opened.serving, opened.tokenizer
        self._encoding = Encoding(
            opened.session,
            opened.single,
            tokenizer=opened.tokenizer,
            serving=opened.serving,
            layout=opened.layout,
            kind=opened.device.kind,
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
        with progress(len(texts), shown=bool(show_progress_bar)) as advance:
            request = self._request(prompt, prompt_name, batch_size, advance)
            if output_value == TOKEN_EMBEDDINGS:
                tokens = self._encoding.token_embeddings(texts, request)
                return tokens[0] if isinstance(sentences, str) else tokens
            if output_value != SENTENCE_EMBEDDING:
                raise InputError(
                    f"output_value is {output_value!r}, expected {SENTENCE_EMBEDDING!r} or {TOKEN_EMBEDDINGS!r}"
                )
            finish = finishing(self._serving.dimension, precision, normalize_embeddings, truncate_dim)
            stored = finish(self._encoding.sentence_embeddings(texts, request))
        return stored[0] if isinstance(sentences, str) else stored

    def encode_iter(
        self,
        sentences: Iterable[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        precision: Literal["float32", "binary", "ubinary"] = "float32",
        normalize_embeddings: bool | None = None,
        truncate_dim: int | None = None,
    ) -> Iterator[npt.NDArray[Any]]:
        """One vector (dim,) after another, in the order of ``sentences``, which is read as vectors are taken.

        Some thousand texts are read ahead and held at a time, however many there are. The vectors are those of :meth:`encode`.

        Args:
            sentences: any iterable of str: a file, a generator, a database cursor.
            prompt_name: as for :meth:`encode`, like everything below.
            prompt: a text that is put before each text.
            batch_size: texts a run.
            precision: int8 and uint8 need the ranges of a whole corpus: take float32 and
                :func:`embedrt.vectors.quantize_embeddings`.
            normalize_embeddings: True: length 1, after truncation.
            truncate_dim: keep the first so many components.

        Raises:
            TypeError: ``sentences`` is a str, or holds something that is no str.
            InputError: an unknown prompt, precision or width.
        """
        if isinstance(sentences, str | bytes):
            raise TypeError(f"sentences is a {type(sentences).__name__}, expected an iterable of str: pass [text]")
        if precision not in _PRECISIONS_OF_ONE:
            raise InputError(f"precision is {precision!r}, expected one of {', '.join(_PRECISIONS_OF_ONE)}")
        finish = finishing(self._serving.dimension, precision, normalize_embeddings, truncate_dim)
        windows = self._encoding.stream(sentences, self._request(prompt, prompt_name, batch_size))
        return (vector for window in windows for vector in finish(window))

    def encode_query(
        self, sentences: str | Sequence[str], *, prompt_name: str | None = None, **options: Any
    ) -> npt.NDArray[Any]:
        """:meth:`encode` with the prompt called ``query``, where the checkpoint has one."""
        name = self._role_prompt("query", prompt_name, options)
        vectors: npt.NDArray[Any] = self.encode(sentences, prompt_name=name, **options)
        return vectors

    def encode_document(
        self, sentences: str | Sequence[str], *, prompt_name: str | None = None, **options: Any
    ) -> npt.NDArray[Any]:
        """:meth:`encode` with the prompt called ``document``, ``passage`` or ``corpus``, where the checkpoint has one."""
        name = self._role_prompt("document", prompt_name, options)
        vectors: npt.NDArray[Any] = self.encode(sentences, prompt_name=name, **options)
        return vectors

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
    def similarity_name(self) -> str:
        """The checkpoint's measure: cosine, dot, euclidean or manhattan."""
        return self._serving.similarity

    @property
    def providers(self) -> list[str]:
        """The execution providers that really run the graph, most preferred first."""
        return self._session.providers

    @property
    def variant(self) -> str | None:
        """The manifest's name of the graph that runs; None where there is no manifest."""
        return self._artifact.variant

    @property
    def threads(self) -> int:
        """Threads that encoding uses."""
        return self._layout.workers

    def close(self) -> None:
        """End the worker threads; the encoder cannot be used any more."""
        self._closed = True
        self._encoding.close()

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

    def _role_prompt(self, role: str, prompt_name: str | None, options: Mapping[str, Any]) -> str | None:
        if prompt_name is None and options.get("prompt") is None:
            return prompt_name_for(self._serving, role)
        return prompt_name

    def _request(
        self,
        prompt: str | None,
        prompt_name: str | None,
        batch_size: int | None,
        advance: Advance = lambda _count: None,
    ) -> Request:
        if self._closed:
            raise InputError("this encoder was closed: make a new SentenceEncoder")
        if batch_size is not None and batch_size < 1:
            raise InputError(f"batch_size is {batch_size}, expected at least 1")
        prefix = prompt_for(self._serving, prompt=prompt, prompt_name=prompt_name)
        return Request(prefix=prefix, batch_size=batch_size, advance=advance)
