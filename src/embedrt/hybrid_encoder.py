"""HybridEncoder: several kinds of vectors of the same texts from one run of one graph (BGE-M3)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedrt.errors import InputError
from embedrt.inference.batching import Batch
from embedrt.inference.scheduling import Arrays, Mask, Work
from embedrt.inference.session import SENTENCE_EMBEDDING, TOKEN_EMBEDDINGS, TOKEN_WEIGHTS
from embedrt.loaded_model import LoadedModel
from embedrt.moving import ENCODING, OF_HYBRIDS, moved
from embedrt.multi_vector.roles import RoleRows, Roles, kept_vectors
from embedrt.progress import Advance, progress
from embedrt.prompts import prefixed, tokens_left_out
from embedrt.sparse.encoding import terms_of_tokens
from embedrt.sparse.vectors import SparseVectors
from embedrt.text.tokenizer import TokenRows, as_texts

__all__ = ["HybridEncoder", "HybridVectors"]

Vectors = npt.NDArray[np.float32]
_OUTPUTS = {"dense": SENTENCE_EMBEDDING, "sparse": TOKEN_WEIGHTS, "multi-vector": TOKEN_EMBEDDINGS}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HybridVectors:
    """What was asked for of the same texts; None where it was not."""

    dense: Vectors | None
    """(texts, dim), as ``SentenceEncoder.encode`` gives them."""
    sparse: SparseVectors | None
    """A row a text, as ``SparseEncoder.encode`` gives them."""
    multi_vector: list[Vectors] | None
    """(tokens, dim) a text, as ``MultiVectorEncoder.encode`` gives them; each array owns its memory."""


@dataclass(slots=True)
class _Filled:
    """One window's vectors, as its batches come."""

    dense: Vectors | None
    weights: Vectors | None
    """(total tokens,)"""
    tokens: list[Vectors] | None


class HybridEncoder(LoadedModel):
    """A model that gives several kinds of vectors, run once for all of them; safe to share between threads.

    Where only one kind is wanted, its own class on the same folder is the better choice: it computes nothing else.
    """

    _kind = None
    _lacks = OF_HYBRIDS

    def _prepare(self) -> None:
        late = self._serving.multi_vector
        self._roles = Roles(self._tokenizer, late) if late is not None else None

    @moved(ENCODING, inputs="sentences")
    def encode(
        self,
        sentences: str | Sequence[str] | npt.NDArray[np.str_],
        *,
        dense: bool = True,
        sparse: bool = True,
        multi_vector: bool = True,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
    ) -> HybridVectors:
        """Vectors of ``sentences`` of every kind that is not declined; a str is a list of one.

        Args:
            sentences: one text or several.
            dense: with a vector a text.
            sparse: with a weight for each term of a text.
            multi_vector: with a vector a token, which is by far the most of the memory.
            prompt_name: which of :attr:`prompts` is put before each text; None: the checkpoint's default, if it has one.
            prompt: a text that is put before each text, in place of a named one.
            batch_size: texts a run; None: as many as a token budget allows, which is faster.
            show_progress_bar: a bar on stderr.

        Raises:
            TypeError: ``sentences`` is neither a str nor a sequence of str.
            InputError: nothing is asked for, or something that the model does not give.
        """
        texts = as_texts(sentences)
        wanted = self._wanted({"dense": dense, "sparse": sparse, "multi-vector": multi_vector})
        prefix = self._prefix(prompt, prompt_name, batch_size)
        ready, left_out = prefixed(texts, prefix), tokens_left_out(self._serving, self._tokenizer, prefix)
        with progress(len(texts), shown=bool(show_progress_bar)) as advance:

            def work(first: int, stop: int) -> Work[tuple[_Filled, TokenRows]]:
                return self._work(ready[first:stop], wanted, batch_size, left_out, advance)

            parts = list(self._runner.over(len(texts), work))
        return self._joined(parts, wanted)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the model gives: some of ``dense``, ``sparse`` and ``multi-vector``."""
        return self._serving.kinds

    @property
    def dimensions(self) -> dict[str, int]:
        """How wide a vector of each of :attr:`kinds` is; of a sparse one, the terms of the vocabulary."""
        late = self._serving.multi_vector
        widths = {"dense": self._serving.dimension, "sparse": self._terms_of_vocabulary}
        return {kind: widths.get(kind, late.dimension if late is not None else 0) for kind in self.kinds}

    def _facts(self) -> dict[str, str]:
        return {"kinds": ", ".join(self.kinds), "max_seq_length": str(self.max_seq_length)}

    def _wanted(self, asked: dict[str, bool]) -> tuple[str, ...]:
        """The kinds that are asked for, in the order of the graph's outputs."""
        self._require_open()
        wanted = tuple(kind for kind, said in asked.items() if said)
        if not wanted:
            raise InputError("nothing is asked for: leave at least one of dense, sparse and multi_vector True")
        if missing := [kind for kind in wanted if kind not in self.kinds]:
            declined = ", ".join(f"{kind.replace('-', '_')}=False" for kind in missing)
            raise InputError(
                f"the model gives {' and '.join(self.kinds)} vectors, no {' or '.join(missing)} ones: pass {declined}"
            )
        return wanted

    def _work(
        self, texts: list[str], wanted: tuple[str, ...], batch_size: int | None, left_out: int, advance: Advance
    ) -> Work[tuple[_Filled, TokenRows]]:
        rows = self._roles.rows(texts, None) if self._roles is not None else None
        tokens = rows.tokens if rows is not None else self._tokenizer.encode(texts)
        filled = self._empty(tokens, wanted)

        def store(batch: Batch, results: Arrays, mask: Mask) -> None:
            given = dict(zip(wanted, results, strict=True))
            _store(filled, given, batch, mask, tokens)
            if filled.tokens is not None and rows is not None:
                self._store_tokens(filled.tokens, given["multi-vector"], batch, rows)
            advance(len(batch.rows))

        return Work(
            tokens=tokens,
            outputs=tuple(_OUTPUTS[kind] for kind in wanted),
            consume=store,
            result=(filled, tokens),
            batch_size=batch_size,
            prompt_length=left_out,
        )

    def _empty(self, tokens: TokenRows, wanted: tuple[str, ...]) -> _Filled:
        """Zeros, which stay where a text has no token."""
        width = self.dimensions
        return _Filled(
            dense=np.zeros((len(tokens), width["dense"]), np.float32) if "dense" in wanted else None,
            weights=np.zeros(len(tokens.ids), np.float32) if "sparse" in wanted else None,
            tokens=[np.empty((0, width["multi-vector"]), np.float32)] * len(tokens)
            if "multi-vector" in wanted
            else None,
        )

    def _store_tokens(self, found: list[Vectors], output: Vectors, batch: Batch, rows: RoleRows) -> None:
        vectors = kept_vectors(batch, output, rows, padding_side=self._serving.padding_side)
        for row, one in zip(batch.rows, vectors, strict=True):
            found[row] = one

    def _joined(self, parts: list[tuple[_Filled, TokenRows]], wanted: tuple[str, ...]) -> HybridVectors:
        dense, sparse, tokens = None, None, None
        if "dense" in wanted:
            some = [filled.dense for filled, _ in parts if filled.dense is not None]
            dense = np.concatenate([np.empty((0, self._serving.dimension), np.float32), *some])
        if "sparse" in wanted:
            sparse = SparseVectors.concatenated(
                [self._terms(filled.weights, rows) for filled, rows in parts if filled.weights is not None],
                dimension=self._terms_of_vocabulary,
            )
        if "multi-vector" in wanted:
            tokens = [vectors for filled, _ in parts for vectors in filled.tokens or []]
        return HybridVectors(dense=dense, sparse=sparse, multi_vector=tokens)

    def _terms(self, weights: Vectors, rows: TokenRows) -> SparseVectors:
        described = self._serving.sparse
        return terms_of_tokens(
            rows.ids,
            weights,
            np.repeat(np.arange(len(rows)), rows.lengths),
            shape=(len(rows), self._terms_of_vocabulary),
            ignored=described.ignored_token_ids if described is not None else (),
        )

    @property
    def _terms_of_vocabulary(self) -> int:
        described = self._serving.sparse
        return (described.dimension if described is not None else None) or self._serving.dimension


def _store(filled: _Filled, given: dict[str, Vectors], batch: Batch, mask: Mask, tokens: TokenRows) -> None:
    """A batch's vectors of texts, and weights of tokens, in their places."""
    if filled.dense is not None:
        filled.dense[batch.rows] = given["dense"]
    if filled.weights is not None:
        for row, weights, seen in zip(batch.rows, given["sparse"], mask, strict=True):
            filled.weights[tokens.starts[row] : tokens.starts[row] + tokens.lengths[row]] = weights[seen == 1]
