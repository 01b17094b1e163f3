"""A model that works through the server's queue: the way of a request to the graph and back, the same for all kinds."""

import sys
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
from embedrt.server.inputs import Inputs
from embedrt.server.jobs import Batch, Job, Result, Skipped
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
        self._left_out: dict[str, npt.NDArray[np.int64]] = {}  # tokens of each prompt that are left out of pooling
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
            known = ", ".join(sorted(self.serving.prompts)) or "none"  # no field here takes a prompt's own words
            message = f"`prompt_name` is {prompt_name!r}, expected one of the model's prompts: {known}"
            raise Refusal("validation", message, param="prompt_name") from error

    async def aside(self, characters: int, work: Callable[[], bytes]) -> bytes:
        """``work`` on texts of so many characters, at once or on a thread."""
        return await self._attached().prepare(characters, work)

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

    async def _results(
        self, tokens: TokenRows, output: str, exchange: Exchange, *, inputs: Inputs | None = None, prefix: str = ""
    ) -> list[Result]:
        """One result a row of ``tokens``, through the queue; equal rows are one there. ``prefix`` stands before ``inputs``."""
        rows, place = different_rows(tokens)
        skipped = None if inputs is None else self._skipped(tokens, inputs, prefix)
        if skipped is not None and place is not None:
            skipped = [skipped[first] for first in np.unique(place, return_index=True)[1]]
        job = exchange.job = Job(self, rows, output=output, skipped=skipped)
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
            skipped = [[job.skipped[row] if job.skipped else 0] for job, row in batch.members]  # (batch, 1)
            pooling_mask = without_prompt(mask, np.array(skipped, dtype=np.int64))
        if TOKEN_TYPE_IDS in inputs:
            types = np.concatenate([job.tokens.types_of(row) for job, row in batch.members]).reshape(shape)
        session, outputs = self._held.session(wide=batch.wide), (batch.key.output,)
        return session.run(input_ids, mask, pooling_mask=pooling_mask, token_type_ids=types, outputs=outputs)[0]

    def _attached(self) -> Engine:
        assert self._engine is not None  # noqa: S101  the server attaches it before it listens
        return self._engine

    def _skipped(self, tokens: TokenRows, inputs: Inputs, prefix: str) -> Skipped:
        """The prompt's tokens, of rows that begin with it: token ids and texts cut on the left need not."""
        prompt = self._prompt(prefix)
        if not len(prompt):
            return None
        return [
            len(prompt) if as_text or np.array_equal(tokens.row(row)[: len(prompt)], prompt) else 0
            for row, as_text in enumerate(self._begin_as_texts(tokens, inputs))
        ]

    def _begin_as_texts(self, tokens: TokenRows, inputs: Inputs) -> list[bool]:
        """Whether each row surely begins as its text does, and is to have the vector that ``encode`` gives."""
        uncut = tokens.lengths < (self.tokenizer.max_seq_length or sys.maxsize)
        return [
            isinstance(item, str) and (inputs.side == "right" or bool(short))
            for item, short in zip(inputs.items, uncut, strict=True)
        ]

    def _prompt(self, prefix: str) -> npt.NDArray[np.int64]:
        if prefix not in self._left_out:  # as many as there are prompts
            count = tokens_left_out(self.serving, self.tokenizer, prefix)
            self._left_out[prefix] = self.tokenizer.encode([prefix]).row(0)[:count]
        return self._left_out[prefix]
