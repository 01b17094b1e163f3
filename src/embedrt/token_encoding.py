"""Texts to a vector a token: rows in their role, through the graph, and what is wanted of each, in the order of the texts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedrt.batching import Batch
from embedrt.errors import InputError
from embedrt.manifest import Serving
from embedrt.progress import Advance
from embedrt.prompts import prompt_for
from embedrt.roles import Role, Roles, kept_vectors, known_role
from embedrt.runner import Runner, Work, windows
from embedrt.scheduling import Arrays, Consume
from embedrt.session import TOKEN_EMBEDDINGS
from embedrt.similarity import normalized
from embedrt.text import as_texts

__all__ = ["TokenEncoding", "TokenRequest", "token_request"]

Vectors = npt.NDArray[np.float32]
Mask = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """How the texts of one call are to be encoded."""

    role: Role | None = None
    prefix: str = ""
    """Put before each text."""
    batch_size: int | None = None
    """Texts a run; None: what the token budget allows."""
    normalize: bool = False
    """Bring each vector to length 1, whatever the graph gives."""
    advance: Advance = lambda _count: None
    """Told how many texts more are done."""


def token_request(
    serving: Serving,
    *,
    task: Role | None = None,
    prompt: str | None = None,
    prompt_name: str | None = None,
    batch_size: int | None = None,
    normalize: bool = False,
    advance: Advance = lambda _count: None,
) -> TokenRequest:
    """What a caller asks for, checked.

    Raises:
        InputError: an unknown prompt or task, or a batch size below 1.
    """
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size is {batch_size}, expected at least 1")
    prefix = prompt_for(serving, prompt=prompt, prompt_name=prompt_name)
    return TokenRequest(
        role=known_role(task), prefix=prefix, batch_size=batch_size, normalize=normalize, advance=advance
    )


class TokenEncoding:
    """Roles and sessions of one model, put together."""

    def __init__(self, runner: Runner, roles: Roles, serving: Serving) -> None:
        self._runner, self._roles, self._serving = runner, roles, serving

    def vectors(self, texts: list[str], request: TokenRequest) -> list[Vectors]:
        """Vectors (kept tokens, dim) of each of ``texts``."""
        done = self._runner.over(len(texts), lambda first, stop: self._work(texts[first:stop], request))
        return [vectors for window in done for vectors in window]

    def stream(self, texts: Iterable[str], request: TokenRequest) -> Iterator[list[Vectors]]:
        """The same of one window of ``texts`` after another, read as they are needed."""
        return self._runner.pipelined(self._work(window, request) for window in _checked(texts))

    def _work(self, texts: list[str], request: TokenRequest) -> Work[list[Vectors]]:
        rows = self._roles.rows([request.prefix + text for text in texts] if request.prefix else texts, request.role)
        width = self._serving.multi_vector.dimension if self._serving.multi_vector is not None else 0
        found = [np.empty((0, width), dtype=np.float32)] * len(texts)  # stays so where a text has no token

        def store(batch: Batch, results: Arrays, _mask: Mask) -> None:
            vectors = kept_vectors(batch, results[0], rows, padding_side=self._serving.padding_side)
            for row, one in zip(batch.rows, vectors, strict=True):
                found[row] = normalized(one) if request.normalize else one
            request.advance(len(batch.rows))

        consume: Consume = store
        return Work(
            tokens=rows.tokens,
            outputs=(TOKEN_EMBEDDINGS,),
            consume=consume,
            result=found,
            batch_size=request.batch_size,
        )


def _checked(texts: Iterable[str]) -> Iterator[list[str]]:
    first = 0
    for window in windows(texts):
        yield as_texts(window, first=first)
        first += len(window)
