"""SparseEncoder: texts in, weights of terms out. Here the rooms below meet; nothing else is decided here.

The names follow sentence-transformers, so that moving over is one line; results are compressed sparse rows in numpy arrays.
"""

from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from embedrt.arguments import require_positive
from embedrt.artifact.kinds import Sparse
from embedrt.errors import InputError
from embedrt.loaded_model import LoadedModel
from embedrt.moving import ENCODING, moved
from embedrt.progress import progress
from embedrt.sparse import similarity as sparse_similarity
from embedrt.sparse.encoding import GraphTerms, SparseRequest, static_terms
from embedrt.sparse.vectors import SparseVector, SparseVectors, as_rows
from embedrt.text.tokenizer import as_texts

__all__ = ["SparseEncoder"]

Side = Literal["query", "document"]
Texts = str | Sequence[str] | npt.NDArray[np.str_]
Given = SparseVector | SparseVectors
"""What texts are encoded to: one, or several."""
Decoded = list[tuple[str, float]]


class SparseEncoder(LoadedModel):
    """A sparse-embedding model, ready to encode; safe to share between threads."""

    _kind = "sparse"

    def _prepare(self) -> None:
        self._described = self._serving.sparse or Sparse()
        self._dimension = self._described.dimension or self._serving.dimension
        self._static = static_terms(self._opened.artifact, self._described, dimension=self._dimension)
        self._graph = GraphTerms(self._opened, self._runner, described=self._described, dimension=self._dimension)

    @overload
    def encode(  # type: ignore[overload-overlap]  # a str is a sequence of str too
        self,
        sentences: str,
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        max_active_dims: int | None = None,
    ) -> SparseVector: ...

    @overload
    def encode(
        self,
        sentences: Sequence[str] | npt.NDArray[np.str_],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        max_active_dims: int | None = None,
    ) -> SparseVectors: ...

    @moved(ENCODING, ignored=("save_to_cpu",), inputs="sentences")
    def encode(
        self,
        sentences: Texts,
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        max_active_dims: int | None = None,
    ) -> Given:
        """The terms of ``sentences`` and their weights: a vector for a str, a row a text in input order for a list.

        Where queries and documents are encoded differently, texts are encoded as the checkpoint says, mostly as documents:
        :meth:`encode_query` and :meth:`encode_document` leave no doubt.

        Args:
            sentences: one text or several.
            prompt_name: which of :attr:`prompts` is put before each text; None: the checkpoint's default, if it has one.
            prompt: a text that is put before each text, in place of a named one.
            batch_size: texts a run; None: as many as a token budget allows, which is faster.
            show_progress_bar: a bar on stderr.
            max_active_dims: keep the so many heaviest terms of each text; None: what the checkpoint says, mostly all.

        Raises:
            TypeError: ``sentences`` is neither a str nor a sequence of str.
            InputError: an unknown prompt, or a number below 1.
        """
        request = self._request(prompt, prompt_name, batch_size, max_active_dims)
        side: Side = "query" if self._described.default_side == "query" else "document"
        return self._encoded(sentences, side, request, shown=bool(show_progress_bar))

    @overload
    def encode_query(self, sentences: str, *, prompt_name: str | None = None, **options: Any) -> SparseVector: ...

    @overload
    def encode_query(
        self, sentences: Sequence[str] | npt.NDArray[np.str_], *, prompt_name: str | None = None, **options: Any
    ) -> SparseVectors: ...

    @moved(ENCODING, ignored=("save_to_cpu",), hands_on_to=encode, inputs="sentences")
    def encode_query(self, sentences: Texts, *, prompt_name: str | None = None, **options: Any) -> Given:
        """As :meth:`encode`, with the prompt called ``query`` where there is one, and the checkpoint's own way with queries."""
        return self._as("query", sentences, prompt_name, **options)

    @overload
    def encode_document(self, sentences: str, *, prompt_name: str | None = None, **options: Any) -> SparseVector: ...

    @overload
    def encode_document(
        self, sentences: Sequence[str] | npt.NDArray[np.str_], *, prompt_name: str | None = None, **options: Any
    ) -> SparseVectors: ...

    @moved(ENCODING, ignored=("save_to_cpu",), hands_on_to=encode, inputs="sentences")
    def encode_document(self, sentences: Texts, *, prompt_name: str | None = None, **options: Any) -> Given:
        """As :meth:`encode`, with the prompt called ``document``, ``passage`` or ``corpus`` where there is one."""
        return self._as("document", sentences, prompt_name, **options)

    @overload
    def decode(self, embeddings: SparseVector, top_k: int | None = None) -> Decoded: ...

    @overload
    def decode(self, embeddings: SparseVectors, top_k: int | None = None) -> list[Decoded]: ...

    def decode(self, embeddings: Given, top_k: int | None = None) -> Decoded | list[Decoded]:
        """Terms in words, with their weights, the heaviest first.

        Args:
            embeddings: what :meth:`encode` gives.
            top_k: terms of a text at most; None: all.

        Raises:
            InputError: ``top_k`` is below 1, or the vectors are of another vocabulary.
        """
        require_positive("top_k", top_k)
        if not isinstance(embeddings, SparseVector):
            return [self.decode(vector, top_k) for vector in as_rows(embeddings)]
        if embeddings.dimension != self._dimension:
            raise InputError(
                f"the vector has {embeddings.dimension} terms, and the model's vocabulary {self._dimension}"
            )
        heaviest = np.argsort(-embeddings.values, kind="stable")[:top_k]
        return [(self.word(int(embeddings.indices[at])), float(embeddings.values[at])) for at in heaviest]

    def similarity(self, embeddings1: Given, embeddings2: Given) -> npt.NDArray[np.float32]:
        """Similarity of each row with each row, (n, m), by the checkpoint's own measure: mostly the dot product."""
        return sparse_similarity.similarity(embeddings1, embeddings2, measure=self.similarity_fn_name)

    def similarity_pairwise(self, embeddings1: Given, embeddings2: Given) -> npt.NDArray[np.float32]:
        """Similarity of row i with row i, (n,), by the checkpoint's own measure."""
        return sparse_similarity.similarity_pairwise(embeddings1, embeddings2, measure=self.similarity_fn_name)

    @staticmethod
    def intersection(embeddings_1: SparseVector, embeddings_2: Given) -> Given:
        """The terms that a vector shares with others, weighing the product of both: what makes them similar."""
        shared = sparse_similarity.intersection(embeddings_1, embeddings_2)
        return shared[0] if isinstance(embeddings_2, SparseVector) else shared

    @staticmethod
    def sparsity(embeddings: Given) -> dict[str, float]:
        """``active_dims``, how many terms a text has in the mean, and ``sparsity_ratio``, the share of all others."""
        return as_rows(embeddings).sparsity()

    def tokenize(self, sentences: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        """Token ids of each text as the graph reads it, special tokens included, cut at :attr:`max_seq_length`."""
        rows = self._tokenizer.encode(as_texts(sentences))
        return [rows.row(index) for index in range(len(rows))]

    def word(self, term: int) -> str:
        """A term in words; its number in brackets where the graph has more terms than the tokenizer has pieces."""
        return self._tokenizer.token(term) or f"[{term}]"

    def get_embedding_dimension(self) -> int:
        """Terms of the vocabulary: width of a vector."""
        return self._dimension

    def get_sentence_embedding_dimension(self) -> int:
        """The same under the name that it has in :class:`SentenceEncoder`."""
        return self._dimension

    @property
    def similarity_fn_name(self) -> str:
        """The checkpoint's measure: ``dot``, ``cosine``, ``euclidean`` or ``manhattan``."""
        return self._serving.similarity if self._serving.kind == "sparse" else "dot"

    @property
    def max_active_dims(self) -> int | None:
        """How many terms a text keeps where the caller does not say; None: all."""
        return self._described.max_active_dims

    def _facts(self) -> dict[str, str]:
        return {"dimension": str(self._dimension), "max_seq_length": str(self.max_seq_length)}

    def _as(self, side: Side, sentences: Texts, prompt_name: str | None, **options: Any) -> Given:
        prompt_name = self._role_prompt(side, prompt_name, options.get("prompt"))
        shown = bool(options.pop("show_progress_bar", None))
        return self._encoded(sentences, side, self._request(prompt_name=prompt_name, **options), shown=shown)

    def _encoded(self, sentences: Texts, side: Side, request: SparseRequest, *, shown: bool) -> Given:
        texts = as_texts(sentences)
        terms = self._static if side == "query" and self._static is not None else self._graph
        with progress(len(texts), shown=shown) as advance:
            vectors = terms.encode(texts, request.telling(advance))
        return vectors[0] if isinstance(sentences, str) else vectors

    def _request(
        self,
        prompt: str | None = None,
        prompt_name: str | None = None,
        batch_size: int | None = None,
        max_active_dims: int | None = None,
    ) -> SparseRequest:
        prefix = self._prefix(prompt, prompt_name, batch_size)
        most = self._described.max_active_dims if max_active_dims is None else max_active_dims
        return SparseRequest(prefix=prefix, batch_size=batch_size, max_active_dims=most)
