"""The finished graph against what it was made of, over the parity texts; nothing is packed that does not agree.

A float32 graph must give in every batch, padded or not, what the chain in numpy makes of the token vectors that the
untouched graph gives for each text alone. Somebody else's int8 graph rounds a text by its batch mates, so there the token
vectors are those of the same run, and only what was appended is compared.
"""

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from embedrt_export.graft.arithmetic import chain_vectors, module_vectors
from embedrt_export.graft.chain import Chain, Module
from embedrt_export.parity.comparison import BATCH_SIZES, Comparison, batches_of, compare_runs
from embedrt_export.parity.texts import PARITY_TEXTS

from embedrt.artifact.manifest import Serving
from embedrt.inference.session import SENTENCE_EMBEDDING, GraphSession
from embedrt.text.tokenizer import TextTokenizer, TokenRows

__all__ = ["Check", "Run"]

Vectors = npt.NDArray[np.float32]
Arrays = npt.NDArray[np.int64]
Run = Callable[[Arrays, Arrays], Vectors]
"""ids and mask, int64 (batch, sequence), to token vectors (batch, sequence, hidden) or finished vectors (batch, dim)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What stays the same while graphs are compared."""

    tokenizer: TextTokenizer
    chain: Chain | None
    """None: the graph gives vectors itself."""
    graph: str
    """How reports name the graph that was there before."""
    left: tuple[Module, ...] = ()
    """What is done to vectors that the graph gives itself."""

    def alone(self, original: Run) -> Vectors:
        """What the chain makes of ``original``'s token vectors of each parity text by itself: (texts, dim)."""
        tokens, _ = self._texts()
        rows = []
        for index in range(len(tokens)):
            ids = tokens.row(index)[None, :]
            rows.append(self._finished(original, ids, np.ones_like(ids)))
        return np.concatenate(rows)

    def compare_alone(self, finished: GraphSession, serving: Serving, expected: Vectors) -> Comparison:
        """The finished graph in several batch sizes, with :meth:`alone`."""
        tokens, texts = self._texts()
        runs = {size: self._run(finished, tokens, serving, size) for size in BATCH_SIZES}
        reference = f"{self._modules()} {self.graph} gives for each text alone; {_UNCOMPARED}"
        return compare_runs(runs, dict.fromkeys(BATCH_SIZES, expected), reference=reference, texts=texts)

    def compare_together(self, finished: GraphSession, serving: Serving, original: Run) -> Comparison:
        """The finished graph in several batch sizes, with the chain on ``original``'s token vectors of the same batches."""
        tokens, texts = self._texts()
        runs = {size: self._run(finished, tokens, serving, size) for size in BATCH_SIZES}
        expected = {}
        for size, vectors in runs.items():
            expected[size] = np.empty_like(vectors)
            for rows, ids, mask in batches_of(tokens, serving, size):
                expected[size][rows] = self._finished(original, ids, mask)
        reference = f"{self._modules()} {self.graph} gives for the same batch; {_UNCOMPARED}"
        return compare_runs(runs, expected, reference=reference, texts=texts)

    def _texts(self) -> tuple[TokenRows, tuple[str, ...]]:
        """The parity texts of at least one token: a tokenizer without special ones makes nothing of an empty text."""
        lengths = self.tokenizer.encode(PARITY_TEXTS).lengths
        texts = tuple(text for text, length in zip(PARITY_TEXTS, lengths, strict=True) if length)
        return self.tokenizer.encode(texts), texts

    def _finished(self, original: Run, ids: Arrays, mask: Arrays) -> Vectors:
        result = original(ids, mask)
        if self.chain is None:
            return module_vectors(self.left, result)
        return chain_vectors(self.chain, result, mask, self._pooled(mask))

    def _run(self, session: GraphSession, tokens: TokenRows, serving: Serving, size: int) -> Vectors:
        vectors = np.empty((len(tokens), serving.dimension), dtype=np.float32)
        for rows, ids, mask in batches_of(tokens, serving, size):
            outputs = session.run(ids, mask, pooling_mask=self._pooled(mask), outputs=(SENTENCE_EMBEDDING,))
            vectors[rows] = outputs[0]
        return vectors

    def _pooled(self, mask: Arrays) -> Arrays:
        """Where prompts are left out of pooling: all but a text's first token, if there are others."""
        if self.chain is None or self.chain.include_prompt:
            return mask
        first = (mask.cumsum(axis=1) == 1) & (mask == 1) & (mask.sum(axis=1, keepdims=True) > 1)
        return np.where(first, 0, mask)

    def _modules(self) -> str:
        if self.chain is None and not self.left:
            return f"the {SENTENCE_EMBEDDING} that"
        vectors = "token vectors" if self.chain is not None else SENTENCE_EMBEDDING
        which = "its modules" if self.chain is not None else " and ".join(type(module).__name__ for module in self.left)
        return f"{which} in numpy {importlib.metadata.version('numpy')}, float64, on the {vectors} that"


_UNCOMPARED = "the transformer itself was compared with nothing"
