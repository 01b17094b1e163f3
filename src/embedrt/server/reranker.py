"""A cross-encoder as the server holds it: how pairs of texts become jobs, and logits the scores of each API."""

import time
from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from embedrt.activations import ACTIVATIONS
from embedrt.errors import InputError
from embedrt.kinds import Reranking
from embedrt.prompts import prompt_for
from embedrt.server.engine import Engine
from embedrt.server.exchange import Exchange
from embedrt.server.held import Held
from embedrt.server.inputs import Inputs, tokenized_pairs
from embedrt.server.jobs import Batch, Job, Result
from embedrt.server.models import ServedModel
from embedrt.server.refusals import Refusal, wrong_kind
from embedrt.session import LOGITS, TOKEN_TYPE_IDS

__all__ = ["Reranker"]

Texts = tuple[str, ...]
"""One or two of them, read together."""


class Reranker(ServedModel):
    """Scores of pairs: documents for a query, or labels of one text or two."""

    def __init__(self, held: Held) -> None:
        """The engine comes later, with :meth:`attach`."""
        self._held = held
        self.tokenizer, self.layout, self._serving = held.tokenizer, held.layout, held.serving
        reranking = held.serving.reranking or Reranking()
        labels = reranking.labels or tuple(f"LABEL_{number}" for number in range(held.serving.dimension))
        self.description = held.description(labels=labels)
        self.token_budget = held.layout.token_budget
        self._activation = reranking.activation
        self._engine: Engine | None = None

    def attach(self, engine: Engine) -> None:
        """Work through the queue of ``engine``."""
        self._engine = engine

    def prefix(self, prompt_name: str | None) -> str:
        """What is put before the first text of each pair.

        Raises:
            Refusal: there is no prompt of that name.
        """
        try:
            return prompt_for(self._serving, prompt_name=prompt_name)
        except InputError as error:
            raise Refusal("validation", str(error), param="prompt_name") from error

    async def rank(self, query: str, inputs: Inputs, *, raw_scores: bool, exchange: Exchange) -> Sequence[float]:
        """How well each text answers the query: its logit, or between 0 and 1, as text-embeddings-inference gives it."""
        if self.description.dimension != 1:
            raise wrong_kind("model is not a re-ranker model")
        if not all(isinstance(item, str) for item in inputs.items):
            raise Refusal("validation", "a re-ranker reads texts, not token ids", param="inputs")
        prefixed = self.prefix(inputs.prompt_name) + query
        logits = await self._logits([(prefixed, str(item)) for item in inputs.items], inputs, exchange)
        scores: list[float] = (logits if raw_scores else ACTIVATIONS["sigmoid"](logits))[:, 0].tolist()
        return scores

    async def predict(
        self, pairs: Sequence[Sequence[str]], *, raw_scores: bool, exchange: Exchange
    ) -> Sequence[dict[str, float]]:
        """Logits by label, or shares of 1; between 0 and 1 each, where there is one or the checkpoint has them independent."""
        prefix = self.prefix(None)
        texts = [(prefix + pair[0], *pair[1:]) for pair in pairs]
        logits = await self._logits(texts, Inputs(items=()), exchange)
        if not raw_scores:
            apart = self.description.dimension == 1 or self._activation == "sigmoid"
            logits = ACTIVATIONS["sigmoid" if apart else "softmax"](logits)
        labels = tuple(self.description.labels.values())
        return [dict(zip(labels, row, strict=True)) for row in logits.tolist()]

    def probe(self) -> Job:
        """A job of one empty pair."""
        return Job(self, self.tokenizer.encode_pairs([("", "")], with_types=self._with_types), output=LOGITS)

    def run(self, batch: Batch) -> Sequence[Result]:
        """One result a member, in the order of the members."""
        if batch.key.length == 0:  # a tokenizer that adds no special tokens makes none of empty texts
            return [np.zeros(self.description.dimension, dtype=np.float32) for _ in batch.members]
        shape = (len(batch.members), batch.key.length)  # (batch, sequence)
        input_ids = np.concatenate([job.tokens.row(row) for job, row in batch.members]).reshape(shape)
        types = np.concatenate([job.tokens.types_of(row) for job, row in batch.members]).reshape(shape)
        session = self._held.session(wide=batch.wide)
        return list(
            session.run(input_ids, np.ones_like(input_ids), token_type_ids=types, outputs=(batch.key.output,))[0]
        )

    def renew(self) -> None:
        """Sessions that a hanging worker may hold for ever are replaced."""
        self._held.renew()

    @property
    def _with_types(self) -> bool:
        return TOKEN_TYPE_IDS in self._held.wide.inputs

    async def _logits(self, texts: list[Texts], inputs: Inputs, exchange: Exchange) -> npt.NDArray[np.float32]:
        """(pairs, labels)."""
        assert self._engine is not None  # noqa: S101  the server attaches it before it listens
        engine, began = self._engine, time.monotonic()
        tokens = await engine.prepare(
            sum(len(text) for pair in texts for text in pair),
            lambda: tokenized_pairs(self.tokenizer, texts, inputs, engine.limits, with_types=self._with_types),
        )
        exchange.tokenization = time.monotonic() - began
        exchange.tokens = len(tokens.ids)
        job = exchange.job = Job(self, tokens, output=LOGITS)
        await engine.run(job, exchange)
        return np.stack(cast("list[Result]", job.results))
