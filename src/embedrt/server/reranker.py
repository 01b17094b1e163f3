"""A cross-encoder as the server holds it: how pairs of texts become jobs, and logits the scores of each API."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedrt.artifact.kinds import Reranking
from embedrt.inference.session import LOGITS, TOKEN_TYPE_IDS
from embedrt.reranking.activations import ACTIVATIONS
from embedrt.server.exchange import Exchange
from embedrt.server.held import Held
from embedrt.server.inputs import Inputs, tokenized_pairs
from embedrt.server.jobs import Job
from embedrt.server.queued import QueuedModel
from embedrt.server.refusals import Refusal, wrong_kind

__all__ = ["Reranker"]

Texts = tuple[str, ...]
"""One or two of them, read together."""


class Reranker(QueuedModel):
    """Scores of pairs: documents for a query, or labels of one text or two."""

    def __init__(self, held: Held) -> None:
        """The engine comes later, with :meth:`attach`."""
        reranking = held.serving.reranking or Reranking()
        made_up = tuple(f"LABEL_{number}" for number in range(held.serving.dimension))
        super().__init__(held, labels=reranking.labels or made_up)
        self._activation = reranking.activation

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
        self, pairs: Sequence[Sequence[str]], *, truncate: bool, raw_scores: bool, exchange: Exchange
    ) -> Sequence[dict[str, float]]:
        """Logits by label, or shares of 1; between 0 and 1 each, where there is one or the checkpoint has them independent."""
        prefix = self.prefix(None)
        texts = [(prefix + pair[0], *pair[1:]) for pair in pairs]
        logits = await self._logits(texts, Inputs(items=(), truncate=truncate), exchange)
        if not raw_scores:
            apart = self.description.dimension == 1 or self._activation == "sigmoid"
            logits = ACTIVATIONS["sigmoid" if apart else "softmax"](logits)
        labels = tuple(self.description.labels.values())
        return [dict(zip(labels, row, strict=True)) for row in logits.tolist()]

    def probe(self) -> Job:
        """A job of one empty pair."""
        return Job(self, self.tokenizer.encode_pairs([("", "")], with_types=self._with_types), output=LOGITS)

    @property
    def _with_types(self) -> bool:
        return TOKEN_TYPE_IDS in self._held.wide.inputs

    async def _logits(self, texts: list[Texts], inputs: Inputs, exchange: Exchange) -> npt.NDArray[np.float32]:
        """(pairs, labels)."""
        characters = sum(len(text) for pair in texts for text in pair)
        tokens = await self._tokens(
            lambda limits: tokenized_pairs(self.tokenizer, texts, inputs, limits, with_types=self._with_types),
            characters,
            exchange,
        )
        return np.stack(await self._results(tokens, LOGITS, exchange))
