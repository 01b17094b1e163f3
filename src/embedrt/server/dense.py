"""A dense model as the server holds it: how its texts become jobs."""

import time
from collections.abc import Sequence

import numpy as np

from embedrt.batching import without_prompt
from embedrt.errors import InputError
from embedrt.prompts import prompt_for, tokens_left_out
from embedrt.server.engine import Engine
from embedrt.server.exchange import Exchange
from embedrt.server.held import Held
from embedrt.server.inputs import Inputs, tokenized
from embedrt.server.jobs import Batch, Job, Result
from embedrt.server.models import Embedded, ServedModel
from embedrt.server.refusals import Refusal, wrong_kind
from embedrt.session import POOLING_MASK, SENTENCE_EMBEDDING, TOKEN_EMBEDDINGS
from embedrt.similarity import similarity_function

__all__ = ["DenseModel"]


class DenseModel(ServedModel):
    """Sentence embeddings. A text that is alone runs on all threads, texts of many clients on one thread a run."""

    def __init__(self, held: Held) -> None:
        """The engine comes later, with :meth:`attach`."""
        self._held = held
        self.tokenizer, self.layout, self.serving = held.tokenizer, held.layout, held.serving
        self.description = held.description()
        self.token_budget = held.layout.token_budget
        self._left_out: dict[str, int] = {}  # tokens of each prompt that are left out of pooling
        self._engine: Engine | None = None

    def attach(self, engine: Engine) -> None:
        """Work through the queue of ``engine``."""
        self._engine = engine

    def prefix(self, prompt_name: str | None) -> str:
        """What is put before each text.

        Raises:
            Refusal: there is no prompt of that name.
        """
        try:
            return prompt_for(self.serving, prompt_name=prompt_name)
        except InputError as error:
            raise Refusal("validation", str(error), param="prompt_name") from error

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

    def run(self, batch: Batch) -> Sequence[Result]:
        """One result a member, in the order of the members."""
        if batch.key.length == 0:  # a tokenizer that adds no special tokens makes none of an empty text
            return self._of_nothing(batch)
        rows = [job.tokens.row(row) for job, row in batch.members]
        input_ids = np.concatenate(rows).reshape(len(rows), batch.key.length)  # (batch, sequence)
        attention_mask = np.ones_like(input_ids)
        pooling_mask = None
        if POOLING_MASK in self._held.wide.inputs:
            skipped = np.array([[job.skipped] for job, _ in batch.members], dtype=np.int64)  # (batch, 1)
            pooling_mask = without_prompt(attention_mask, skipped)
        session = self._held.session(wide=batch.wide)
        return list(session.run(input_ids, attention_mask, pooling_mask=pooling_mask, outputs=(batch.key.output,))[0])

    def _of_nothing(self, batch: Batch) -> Sequence[Result]:
        """What :meth:`SentenceEncoder.encode` gives for texts without a token: zeros, or no token at all."""
        width = self.description.dimension
        shape = (0, width) if batch.key.output == TOKEN_EMBEDDINGS else (width,)
        return [np.zeros(shape, dtype=np.float32) for _ in batch.members]

    def renew(self) -> None:
        """Sessions that a hanging worker may hold for ever are replaced."""
        self._held.renew()

    async def _asked(self, inputs: Inputs, output: str, exchange: Exchange) -> Embedded:
        assert self._engine is not None  # noqa: S101  the server attaches it before it listens
        engine, prefix = self._engine, self.prefix(inputs.prompt_name)
        began = time.monotonic()
        tokens = await engine.prepare(
            exchange.characters, lambda: tokenized(self.tokenizer, inputs, prefix, engine.limits)
        )
        exchange.tokenization = time.monotonic() - began
        exchange.tokens = len(tokens.ids)
        job = exchange.job = Job(self, tokens, output=output, skipped=self._skipped(prefix))
        await engine.run(job, exchange)
        return Embedded([result for result in job.results if result is not None], exchange.tokens)

    def _skipped(self, prefix: str) -> int:
        if prefix not in self._left_out:  # as many as there are prompts
            self._left_out[prefix] = tokens_left_out(self.serving, self.tokenizer, prefix)
        return self._left_out[prefix]
