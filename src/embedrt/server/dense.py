"""A dense model as the server holds it: how its texts become jobs."""

from collections.abc import Sequence

import numpy as np

from embedrt.inference.session import SENTENCE_EMBEDDING, TOKEN_EMBEDDINGS
from embedrt.server.exchange import Exchange
from embedrt.server.inputs import Inputs, tokenized
from embedrt.server.jobs import Job, Result
from embedrt.server.models import Embedded
from embedrt.server.queued import QueuedModel
from embedrt.server.refusals import Refusal, wrong_kind
from embedrt.similarity import similarity_function

__all__ = ["DenseModel"]

_MOST_NUMBERS = 10_000_000
"""Of an answer with a vector a token: a hundred megabytes of JSON."""


class DenseModel(QueuedModel):
    """Sentence embeddings."""

    async def embed(self, inputs: Inputs, exchange: Exchange) -> Embedded:
        """A vector (dim,) a text, as the graph gives it."""
        return await self._asked(inputs, SENTENCE_EMBEDDING, exchange)

    async def embed_tokens(self, inputs: Inputs, exchange: Exchange) -> Embedded:
        """Vectors (tokens, hidden) of each text, where the graph was exported with them."""
        if TOKEN_EMBEDDINGS not in self._held.wide.outputs:
            raise wrong_kind("the graph gives no token embeddings: export the checkpoint with --token-embeddings")
        return await self._asked(inputs, TOKEN_EMBEDDINGS, exchange)

    def similarities(self, results: Sequence[Result]) -> list[float]:
        """Cosine of the first vector with each of the others, as text-embeddings-inference gives it."""
        matrix = np.stack(results)  # (texts, dim)
        scores: list[float] = similarity_function("cosine")(matrix[:1], matrix[1:])[0].tolist()
        return scores

    def probe(self) -> Job:
        """A job of one empty text."""
        return Job(self, self.tokenizer.encode([""]), output=SENTENCE_EMBEDDING)

    def _of_nothing(self, output: str) -> Result:
        """No token at all, or zeros."""
        if output == TOKEN_EMBEDDINGS:
            return np.zeros((0, self.description.dimension), dtype=np.float32)
        return super()._of_nothing(output)

    async def _asked(self, inputs: Inputs, output: str, exchange: Exchange) -> Embedded:
        prefix = self.prefix(inputs.prompt_name)
        tokens = await self._tokens(
            lambda limits: tokenized(self.tokenizer, inputs, prefix, limits), exchange.characters, exchange
        )
        if output == TOKEN_EMBEDDINGS:
            _require_numbers(len(tokens.ids) * self.description.dimension)
        return Embedded(await self._results(tokens, output, exchange, inputs=inputs, prefix=prefix), exchange.tokens)


def _require_numbers(count: int) -> None:
    if count > _MOST_NUMBERS:
        message = (
            f"the answer would have {count} numbers, at most {_MOST_NUMBERS} are sent: send fewer or shorter texts"
        )
        raise Refusal("validation", message, param="inputs")
