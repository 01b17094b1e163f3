"""A sparse model as the server holds it: how its texts become jobs, and queries of inference-free models weights without one."""

import time
from collections.abc import Sequence

import numpy as np

from embedrt.batching import without_prompt
from embedrt.errors import InputError
from embedrt.kinds import Sparse
from embedrt.prompts import prompt_for, tokens_left_out
from embedrt.server.engine import Engine
from embedrt.server.exchange import Exchange
from embedrt.server.held import Held
from embedrt.server.inputs import Inputs, tokenized
from embedrt.server.jobs import Batch, Job, Result
from embedrt.server.models import ServedModel
from embedrt.server.refusals import Refusal
from embedrt.session import POOLING_MASK
from embedrt.sparse_encoding import StaticTerms, static_terms, terms_of_batch
from embedrt.sparse_vectors import SparseVector

__all__ = ["SparseModel"]

Entries = list[tuple[int, float]]
_SIDES = ("query", "document")


class SparseModel(ServedModel):
    """Terms and their weights. Which side an inference-free model takes is said by ``prompt_name``: query or document."""

    def __init__(self, held: Held) -> None:
        """The engine comes later, with :meth:`attach`."""
        self._held = held
        self.tokenizer, self.layout, self._serving = held.tokenizer, held.layout, held.serving
        self._described = held.serving.sparse or Sparse()
        self._dimension = self._described.dimension or held.serving.dimension
        self._static = static_terms(held.artifact, self._described, dimension=self._dimension)
        self.description = held.description()
        self.token_budget = held.layout.token_budget
        self._engine: Engine | None = None

    def attach(self, engine: Engine) -> None:
        """Work through the queue of ``engine``."""
        self._engine = engine

    def prefix(self, prompt_name: str | None) -> str:
        """What is put before each text; nothing for a side that has no prompt of its own.

        Raises:
            Refusal: there is no prompt of that name.
        """
        if self._static is not None and prompt_name in _SIDES and prompt_name not in self._serving.prompts:
            return ""
        try:
            return prompt_for(self._serving, prompt_name=prompt_name)
        except InputError as error:
            raise Refusal("validation", str(error), param="prompt_name") from error

    async def embed_sparse(self, inputs: Inputs, exchange: Exchange) -> Sequence[Entries]:
        """Terms and weights of each text, in the order of the vocabulary."""
        if self._static is not None and (inputs.prompt_name or self._described.default_side) == "query":
            return await self._weighed(self._static, inputs, exchange)
        assert self._engine is not None  # noqa: S101  the server attaches it before it listens
        engine, prefix = self._engine, self.prefix(inputs.prompt_name)
        began = time.monotonic()
        tokens = await engine.prepare(
            exchange.characters, lambda: tokenized(self.tokenizer, inputs, prefix, engine.limits)
        )
        exchange.tokenization = time.monotonic() - began
        exchange.tokens = len(tokens.ids)
        skipped = tokens_left_out(self._serving, self.tokenizer, prefix)
        job = exchange.job = Job(self, tokens, output=self._described.output, skipped=skipped)
        await engine.run(job, exchange)
        return [
            [(int(term), weight) for term, weight in result.tolist()] for result in job.results if result is not None
        ]

    def probe(self) -> Job:
        """A job of one empty text."""
        return Job(self, self.tokenizer.encode([""]), output=self._described.output)

    def run(self, batch: Batch) -> Sequence[Result]:
        """One result a member, in the order of the members: (terms, 2), terms in float32, which numbers them exactly."""
        if batch.key.length == 0:  # a tokenizer that adds no special tokens makes none of an empty text
            return [np.zeros((0, 2), dtype=np.float32) for _ in batch.members]
        shape = (len(batch.members), batch.key.length)  # (batch, sequence)
        input_ids = np.concatenate([job.tokens.row(row) for job, row in batch.members]).reshape(shape)
        mask, pooling_mask = np.ones_like(input_ids), None
        if POOLING_MASK in self._held.wide.inputs:
            pooling_mask = without_prompt(mask, np.array([[job.skipped] for job, _ in batch.members], dtype=np.int64))
        session = self._held.session(wide=batch.wide)
        output = session.run(input_ids, mask, pooling_mask=pooling_mask, outputs=(batch.key.output,))[0]
        vectors = terms_of_batch(self._described, output, mask, list(input_ids), dimension=self._dimension)
        most = self._described.max_active_dims
        return [_pairs(vector) for vector in (vectors if most is None else vectors.pruned(most))]

    def renew(self) -> None:
        """Sessions that a hanging worker may hold for ever are replaced."""
        self._held.renew()

    async def _weighed(self, static: StaticTerms, inputs: Inputs, exchange: Exchange) -> Sequence[Entries]:
        """Fixed weights of the terms: nothing runs, and nothing is queued."""
        assert self._engine is not None  # noqa: S101
        engine, prefix = self._engine, self.prefix(inputs.prompt_name)
        tokens = await engine.prepare(
            exchange.characters,
            lambda: tokenized(static.tokenizer, inputs, prefix, engine.limits, special_tokens=False),
        )
        exchange.tokens = len(tokens.ids)
        return [list(terms.items()) for terms in static.weighed(tokens).to_dicts()]


def _pairs(vector: SparseVector) -> Result:
    return np.stack([vector.indices.astype(np.float32), vector.values], axis=1)
