"""MultiVectorEncoder: texts in, a vector a token out, compared by late interaction; names are sentence-transformers'."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from embedrt.arguments import require_arrays
from embedrt.artifact.kinds import MultiVector
from embedrt.loaded_model import LoadedModel
from embedrt.moving import COMPARING, TOKENS, moved
from embedrt.multi_vector.late_interaction import MEASURES, Several
from embedrt.multi_vector.roles import Role, Roles, known_role
from embedrt.multi_vector.token_encoding import TokenEncoding, TokenRequest
from embedrt.progress import progress
from embedrt.reranking.document_ranking import Ranked, rankable, ranked
from embedrt.text.tokenizer import as_texts

__all__ = ["MultiVectorEncoder"]

Vectors = npt.NDArray[np.float32]
Texts = Sequence[str] | npt.NDArray[np.str_]


class MultiVectorEncoder(LoadedModel):
    """A late-interaction model (ColBERT, the token vectors of BGE-M3), ready to encode; safe to share between threads.

    A document of 200 tokens and 128 components is 100 KB. Each array owns its memory, so that what a caller drops is free at
    once; :meth:`encode_iter` hands arrays on as they come, for collections that do not fit.
    """

    _kind = "multi-vector"

    def _prepare(self) -> None:
        self._settings = self._serving.multi_vector or MultiVector(dimension=self._serving.dimension)
        self._roles = Roles(self._tokenizer, self._settings)
        self._encoding = TokenEncoding(self._runner, self._roles, self._serving)

    @overload
    def encode(  # type: ignore[overload-overlap]  # a str is a sequence of str too
        self,
        inputs: str,
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        convert_to_numpy: bool = True,
        normalize_embeddings: bool = False,
        task: Role | None = None,
    ) -> Vectors: ...

    @overload
    def encode(
        self,
        inputs: Texts,
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        convert_to_numpy: bool = True,
        normalize_embeddings: bool = False,
        task: Role | None = None,
    ) -> list[Vectors]: ...

    @moved(TOKENS, sentences="inputs")
    def encode(
        self,
        inputs: str | Texts,
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        convert_to_numpy: bool = True,
        normalize_embeddings: bool = False,
        task: Role | None = None,
    ) -> Vectors | list[Vectors]:
        """Vectors of ``inputs``: an array float32 (tokens, dim) for a str, a list of them in input order for a list.

        :meth:`encode_query` and :meth:`encode_document` are what retrieval wants; this is for texts that are neither.

        Args:
            inputs: one text or several.
            prompt_name: which of :attr:`prompts` is put before each text; None: the checkpoint's default, if it has one.
            prompt: a text that is put before each text, in place of a named one.
            batch_size: texts a run; None: as many as a token budget allows, which is faster.
            show_progress_bar: a bar on stderr.
            convert_to_numpy: always so; may stay in code that was written for sentence-transformers.
            normalize_embeddings: bring each vector to length 1, where the graph does not.
            task: ``query`` or ``document``: length, expansion, and which tokens are left out.

        Raises:
            TypeError: ``inputs`` is neither a str nor a sequence of str.
            InputError: an unknown prompt or task, or tensors are asked for.
        """
        require_arrays(convert_to_numpy=convert_to_numpy)
        texts = as_texts(inputs)
        with progress(len(texts), shown=bool(show_progress_bar)) as advance:
            request = self._request(
                prompt=prompt,
                prompt_name=prompt_name,
                batch_size=batch_size,
                task=task,
                normalize=normalize_embeddings,
                advance=advance,
            )
            vectors = self._encoding.vectors(texts, request)
        return vectors[0] if isinstance(inputs, str) else vectors

    @overload
    def encode_query(self, inputs: str, *, prompt_name: str | None = None, **options: Any) -> Vectors: ...

    @overload
    def encode_query(self, inputs: Texts, *, prompt_name: str | None = None, **options: Any) -> list[Vectors]: ...

    @moved(TOKENS, hands_on_to=encode, decides=("task",), sentences="inputs")
    def encode_query(
        self, inputs: str | Texts, *, prompt_name: str | None = None, **options: Any
    ) -> Vectors | list[Vectors]:
        """:meth:`encode` as queries: with the prompt called ``query``, cut and expanded as the checkpoint does it."""
        name = self._role_prompt("query", prompt_name, options.get("prompt"))
        options |= {"task": "query", "prompt_name": name}
        return self.encode(inputs, **options)

    @overload
    def encode_document(self, inputs: str, *, prompt_name: str | None = None, **options: Any) -> Vectors: ...

    @overload
    def encode_document(self, inputs: Texts, *, prompt_name: str | None = None, **options: Any) -> list[Vectors]: ...

    @moved(TOKENS, hands_on_to=encode, decides=("task",), sentences="inputs")
    def encode_document(
        self, inputs: str | Texts, *, prompt_name: str | None = None, **options: Any
    ) -> Vectors | list[Vectors]:
        """:meth:`encode` as documents: with the prompt called ``document``, without the tokens that documents leave out."""
        name = self._role_prompt("document", prompt_name, options.get("prompt"))
        options |= {"task": "document", "prompt_name": name}
        return self.encode(inputs, **options)

    @moved(TOKENS, sentences="inputs")
    def encode_iter(
        self,
        inputs: Iterable[str],
        *,
        task: Role | None = "document",
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        normalize_embeddings: bool = False,
    ) -> Iterator[Vectors]:
        """Vectors (tokens, dim) of one text after another, in order, while ``inputs`` is read; memory does not grow.

        Options are those of :meth:`encode`; texts are documents unless said otherwise, with the prompt of their role.
        """
        if isinstance(inputs, str):
            raise TypeError("inputs is a str, expected several texts: pass a list, a generator or a file's lines")
        role = known_role(task)
        if role is not None:
            prompt_name = self._role_prompt(role, prompt_name, prompt)
        request = self._request(
            prompt=prompt, prompt_name=prompt_name, batch_size=batch_size, task=task, normalize=normalize_embeddings
        )
        return (vectors for window in self._encoding.stream(inputs, request) for vectors in window)

    @moved(COMPARING)
    def similarity(self, embeddings1: Several, embeddings2: Several) -> Vectors:
        """Late interaction of queries with documents, (queries, documents); arrays (tokens, dim), a single one is one text."""
        return MEASURES[self.similarity_fn_name][0](embeddings1, embeddings2)

    @moved(COMPARING)
    def similarity_pairwise(self, embeddings1: Several, embeddings2: Several) -> Vectors:
        """Late interaction of query i with document i, (n,)."""
        return MEASURES[self.similarity_fn_name][1](embeddings1, embeddings2)

    def rank(
        self,
        query: str,
        documents: Texts,
        *,
        top_k: int | None = None,
        return_documents: bool = False,
        batch_size: int | None = None,
    ) -> list[Ranked]:
        """``documents`` by their score for ``query``, the best first, as ``CrossEncoder.rank`` gives them; ``top_k`` None: all.

        A dict a document: ``corpus_id``, its place in ``documents``, ``score``, and ``text`` with ``return_documents``. A graph
        exported with ``--maxsim`` compares by itself, and no vector of a document is kept.
        """
        texts = rankable(query, documents, top_k)
        asked = self.encode_query(query, batch_size=batch_size)
        scores = self._scores(asked, texts, batch_size)
        return ranked(scores, texts, top_k=top_k, return_documents=return_documents)

    def _scores(self, query: Vectors, documents: list[str], batch_size: int | None) -> Vectors:
        """Of each document, (documents,)."""
        if not self._settings.scores_in_graph:
            scores: Vectors = self.similarity(query, self.encode_document(documents, batch_size=batch_size))[0]
            return scores
        name = self._role_prompt("document", None, None)
        request = self._request(task="document", prompt=None, prompt_name=name, batch_size=batch_size)
        found = self._encoding.scores(query, documents, request)
        return found / np.float32(len(query)) if self.similarity_fn_name == "meanmaxsim" else found

    def tokenize(self, inputs: Sequence[str], *, task: Role | None = None) -> list[npt.NDArray[np.int64]]:
        """Token ids of each text as the graph reads them in this role, without a prompt."""
        tokens = self._roles.rows(as_texts(inputs), known_role(task)).tokens
        return [tokens.row(index) for index in range(len(tokens))]

    def get_embedding_dimension(self) -> int:
        """Width of a token's vector."""
        return self._settings.dimension

    @property
    def similarity_fn_name(self) -> str:
        """``maxsim`` or ``meanmaxsim``."""
        return self._settings.similarity

    @property
    def query_length(self) -> int | None:
        """Tokens after which a query is cut; None: never."""
        return self._settings.query_length

    @property
    def document_length(self) -> int | None:
        """Tokens after which a document is cut; None: never."""
        return self._settings.document_length

    def _facts(self) -> dict[str, str]:
        lengths = {"query_length": str(self.query_length), "document_length": str(self.document_length)}
        return {"dimension": str(self._settings.dimension), **lengths}

    def _request(
        self, *, prompt: str | None, prompt_name: str | None, batch_size: int | None, task: Role | None, **more: Any
    ) -> TokenRequest:
        prefix = self._prefix(prompt, prompt_name, batch_size)
        return TokenRequest(role=known_role(task), prefix=prefix, batch_size=batch_size, **more)
