"""SentenceEncoder: texts in, vectors out. Here the rooms below meet; nothing else is decided here.

The names follow sentence-transformers, so that moving over is one line.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from embedrt.arguments import require_arrays
from embedrt.encoding import Encoding, Request
from embedrt.errors import InputError
from embedrt.inference.session import SENTENCE_EMBEDDING, TOKEN_EMBEDDINGS
from embedrt.loaded_model import LoadedModel
from embedrt.moving import ENCODING, moved
from embedrt.progress import Advance, progress
from embedrt.similarity import similarity_function
from embedrt.text.tokenizer import as_texts
from embedrt.vectors import VectorPrecision, finishing, require_width

__all__ = ["SentenceEncoder"]

_PRECISIONS_OF_ONE = ("float32", "binary", "ubinary")  # the others need the ranges of a corpus

Vectors = npt.NDArray[np.float32]


class SentenceEncoder(LoadedModel):
    """A sentence-embedding model, ready to encode; safe to share between threads."""

    _kind = "dense"

    def _prepare(self) -> None:
        self._encoding = Encoding(self._runner, tokenizer=self._tokenizer, serving=self._serving)
        require_width(self.truncate_dim, self._serving.dimension)

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
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
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
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        normalize_embeddings: bool | None = None,
        truncate_dim: int | None = None,
    ) -> Vectors | list[Vectors]: ...

    @moved(ENCODING, inputs="sentences")
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
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
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
            convert_to_numpy: always so; may stay in code that was written for sentence-transformers.
            convert_to_tensor: True is refused, there is no PyTorch here.
            normalize_embeddings: True: length 1, after truncation. None and False: as the graph gives them.
            truncate_dim: keep the first so many components (Matryoshka); None: :attr:`truncate_dim`.

        Raises:
            TypeError: ``sentences`` is neither a str nor a sequence of str.
            InputError: an unknown prompt, precision or width, or tensors are asked for.
        """
        require_arrays(convert_to_numpy=convert_to_numpy, convert_to_tensor=convert_to_tensor)
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
            finish = self._finishing(precision, normalize_embeddings, truncate_dim)
            stored = finish(self._encoding.sentence_embeddings(texts, request))
        return stored[0] if isinstance(sentences, str) else stored

    @moved(ENCODING, inputs="sentences")
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
            truncate_dim: keep the first so many components; None: :attr:`truncate_dim`.

        Raises:
            TypeError: ``sentences`` is a str, or holds something that is no str.
            InputError: an unknown prompt, precision or width.
        """
        if isinstance(sentences, str | bytes):
            raise TypeError(f"sentences is a {type(sentences).__name__}, expected an iterable of str: pass [text]")
        if precision not in _PRECISIONS_OF_ONE:
            raise InputError(f"precision is {precision!r}, expected one of {', '.join(_PRECISIONS_OF_ONE)}")
        finish = self._finishing(precision, normalize_embeddings, truncate_dim)
        windows = self._encoding.stream(sentences, self._request(prompt, prompt_name, batch_size))
        return (vector.copy() for window in windows for vector in finish(window))  # or one would keep its window

    @moved(ENCODING, hands_on_to=encode, inputs="sentences")
    def encode_query(
        self, sentences: str | Sequence[str], *, prompt_name: str | None = None, **options: Any
    ) -> npt.NDArray[Any]:
        """:meth:`encode` with the prompt called ``query``, where the checkpoint has one."""
        name = self._role_prompt("query", prompt_name, options.get("prompt"))
        vectors: npt.NDArray[Any] = self.encode(sentences, prompt_name=name, **options)
        return vectors

    @moved(ENCODING, hands_on_to=encode, inputs="sentences")
    def encode_document(
        self, sentences: str | Sequence[str], *, prompt_name: str | None = None, **options: Any
    ) -> npt.NDArray[Any]:
        """:meth:`encode` with the prompt called ``document``, ``passage`` or ``corpus``, where the checkpoint has one."""
        name = self._role_prompt("document", prompt_name, options.get("prompt"))
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

    def get_embedding_dimension(self) -> int:
        """Width of a vector, as :meth:`encode` gives it where nothing else is said."""
        return self.truncate_dim or self._serving.dimension

    def get_sentence_embedding_dimension(self) -> int:
        """The same, by its older name."""
        return self.get_embedding_dimension()

    @property
    def truncate_dim(self) -> int | None:
        """How many components of a vector are kept where a call does not say; None: all."""
        return self._asked[1].truncate_dim

    @property
    def similarity_fn_name(self) -> str:
        """The checkpoint's measure: cosine, dot, euclidean or manhattan."""
        return self._serving.similarity

    def _facts(self) -> dict[str, str]:
        return {**super()._facts(), "dimension": str(self.get_embedding_dimension())}

    def _finishing(
        self, precision: VectorPrecision, normalize: bool | None, truncate_dim: int | None
    ) -> Callable[[Vectors], npt.NDArray[Any]]:
        dim = self.truncate_dim if truncate_dim is None else truncate_dim
        return finishing(self._serving.dimension, precision, normalize, dim)

    def _request(
        self,
        prompt: str | None,
        prompt_name: str | None,
        batch_size: int | None,
        advance: Advance = lambda _count: None,
    ) -> Request:
        prefix = self._prefix(prompt, prompt_name, batch_size)
        return Request(prefix=prefix, batch_size=batch_size, advance=advance)
