"""A model that works through the server's queue: the way of a request to the graph and back, the same for all kinds."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from embedrt.errors import InputError
from embedrt.inference.batching import without_prompt
from embedrt.inference.repeats import different_rows
from embedrt.inference.session import POOLING_MASK, TOKEN_TYPE_IDS
from embedrt.prompts import prompt_for, tokens_left_out
from embedrt.server.engine import Engine
from embedrt.server.exchange import Exchange
from embedrt.server.held import Held
from embedrt.server.jobs import Batch, Job, Result
from embedrt.server.models import ServedModel
from embedrt.server.refusals import Refusal
from embedrt.server.settings import Limits
from embedrt.text.tokenizer import TokenRows

__all__ = ["QueuedModel"]


class QueuedModel(ServedModel):
    """What alone runs on all threads; inputs of many clients run on one thread a run."""

    def __init__(self, held: Held, *, labels: tuple[str, ...] = ()) -> None:
        """The engine comes later, with :meth:`attach`."""
        self._held = held
        self.tokenizer, self.layout, self.serving = held.tokenizer, held.layout, held.serving
        self.description = held.description(labels=labels)
        self.token_budget = held.layout.token_budget
        self._left_out: dict[str, int] = {}  # tokens of each prompt that are left out of pooling
        self._engine: Engine | None = None

    def attach(self, engine: Engine) -> None:
        """Work through the queue of ``engine``."""
        self._engine = engine

    def prefix(self, prompt_name: str | None) -> str:
        """What is put before each text, of pairs before the first.

        Raises:
            Refusal: there is no prompt of that name.
        """
        try:
            return prompt_for(self.serving, prompt_name=prompt_name)
        except InputError as error:
            raise Refusal("validation", str(error), param="prompt_name") from error

    def run(self, batch: Batch) -> Sequence[Result]:
        """One result a member, in the order of the members."""
        if batch.key.length == 0:  # a tokenizer that adds no special tokens makes none of an empty text
            return [self._of_nothing(batch.key.output) for _ in batch.members]
        return self._finished(batch, self._output(batch))

    def renew(self) -> None:
        """Sessions that a hanging worker may hold for ever are replaced."""
        self._held.renew()

    async def _tokens(self, tokenize: Callable[[Limits], TokenRows], characters: int, exchange: Exchange) -> TokenRows:
        """What ``tokenize`` gives, at once or on a thread, as the number of ``characters`` asks for."""
        engine, began = self._attached(), time.monotonic()
        tokens = await engine.prepare(characters, lambda: tokenize(engine.limits))
        exchange.tokenization = time.monotonic() - began
        exchange.tokens = len(tokens.ids)
        return tokens

    async def _results(self, tokens: TokenRows, output: str, exchange: Exchange, *, prefix: str = "") -> list[Result]:
        """One result a row of ``tokens``, which begin with ``prefix``, through the queue; equal rows are one there."""
        rows, place = different_rows(tokens)
        job = exchange.job = Job(self, rows, output=output, skipped=self._skipped(prefix))
        await self._attached().run(job, exchange)
        results = [result for result in job.results if result is not None]
        return results if place is None else [results[row] for row in place]

    def _of_nothing(self, output: str) -> Result:
        """What an input without a token has, as the graph would give ``output`` for it."""
        del output
        return np.zeros(self.description.dimension, dtype=np.float32)

    def _finished(self, batch: Batch, output: npt.NDArray[np.float32]) -> Sequence[Result]:
        """From what the graph gives, a row a member, to results."""
        del batch
        return list(output)

    def _output(self, batch: Batch) -> npt.NDArray[np.float32]:
        """What the graph gives for a batch, whose members are of one length."""
        inputs, shape = self._held.wide.inputs, (len(batch.members), batch.key.length)  # (batch, sequence)
        input_ids = np.concatenate([job.tokens.row(row) for job, row in batch.members]).reshape(shape)
        mask, pooling_mask, types = np.ones_like(input_ids), None, None
        if POOLING_MASK in inputs:
            skipped = np.array([[job.skipped] for job, _ in batch.members], dtype=np.int64)  # (batch, 1)
            pooling_mask = without_prompt(mask, skipped)
        if TOKEN_TYPE_IDS in inputs:
            types = np.concatenate([job.tokens.types_of(row) for job, row in batch.members]).reshape(shape)
        session, outputs = self._held.session(wide=batch.wide), (batch.key.output,)
        return session.run(input_ids, mask, pooling_mask=pooling_mask, token_type_ids=types, outputs=outputs)[0]

    def _attached(self) -> Engine:
        assert self._engine is not None  # noqa: S101  the server attaches it before it listens
        return self._engine

    def _skipped(self, prefix: str) -> int:
        if prefix not in self._left_out:  # as many as there are prompts
            self._left_out[prefix] = tokens_left_out(self.serving, self.tokenizer, prefix)
        return self._left_out[prefix]
