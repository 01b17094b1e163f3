"""A sparse model as the server holds it: how its texts become jobs, and queries of inference-free models weights without one."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedrt.artifact.kinds import Sparse
from embedrt.server.exchange import Exchange
from embedrt.server.held import Held
from embedrt.server.inputs import Inputs, tokenized
from embedrt.server.jobs import Batch, Job, Result
from embedrt.server.queued import QueuedModel
from embedrt.sparse.encoding import StaticTerms, static_terms, terms_of_batch
from embedrt.sparse.vectors import SparseVector

__all__ = ["SparseModel"]

Entries = list[tuple[int, float]]
_SIDES = ("query", "document")


class SparseModel(QueuedModel):
    """Terms and their weights. Which side an inference-free model takes is said by ``prompt_name``: query or document."""

    def __init__(self, held: Held) -> None:
        """The engine comes later, with :meth:`attach`."""
        super().__init__(held)
        self._described = held.serving.sparse or Sparse()
        self._dimension = self._described.dimension or held.serving.dimension
        self._static = static_terms(held.artifact, self._described, dimension=self._dimension)

    def prefix(self, prompt_name: str | None) -> str:
        """What is put before each text; nothing for a side that has no prompt of its own.

        Raises:
            Refusal: there is no prompt of that name.
        """
        if self._static is not None and prompt_name in _SIDES and prompt_name not in self.serving.prompts:
            return ""
        return super().prefix(prompt_name)

    async def embed_sparse(self, inputs: Inputs, exchange: Exchange) -> Sequence[Entries]:
        """Terms and weights of each text, in the order of the vocabulary."""
        if self._static is not None and (inputs.prompt_name or self._described.default_side) == "query":
            return await self._weighed(self._static, inputs, exchange)
        prefix = self.prefix(inputs.prompt_name)
        tokens = await self._tokens(
            lambda limits: tokenized(self.tokenizer, inputs, prefix, limits), exchange.characters, exchange
        )
        results = await self._results(tokens, self._described.output, exchange, inputs=inputs, prefix=prefix)
        return [[(int(term), weight) for term, weight in result.tolist()] for result in results]

    def probe(self) -> Job:
        """A job of one empty text."""
        return Job(self, self.tokenizer.encode([""]), output=self._described.output)

    def _finished(self, batch: Batch, output: npt.NDArray[np.float32]) -> Sequence[Result]:
        """(terms, 2) a text, terms in float32, which numbers them exactly."""
        rows = [job.tokens.row(row) for job, row in batch.members]
        mask = np.ones((len(rows), batch.key.length), dtype=np.int64)  # (batch, sequence)
        vectors = terms_of_batch(self._described, output, mask, rows, dimension=self._dimension)
        most = self._described.max_active_dims
        return [_pairs(vector) for vector in (vectors if most is None else vectors.pruned(most))]

    def _of_nothing(self, output: str) -> Result:
        """No term."""
        del output
        return np.zeros((0, 2), dtype=np.float32)

    async def _weighed(self, static: StaticTerms, inputs: Inputs, exchange: Exchange) -> Sequence[Entries]:
        """Fixed weights of the terms: nothing runs, and nothing is queued."""
        prefix = self.prefix(inputs.prompt_name)
        tokens = await self._tokens(
            lambda limits: tokenized(static.tokenizer, inputs, prefix, limits, special_tokens=False),
            exchange.characters,
            exchange,
        )
        return [list(terms.items()) for terms in static.weighed(tokens).to_dicts()]


def _pairs(vector: SparseVector) -> Result:
    return np.stack([vector.indices.astype(np.float32), vector.values], axis=1)
