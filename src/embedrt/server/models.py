"""What the models of a server can be asked. Each kind answers what it can; the rest is refused in the same words everywhere.

A new kind is a class of its own here beside :mod:`dense`: the routes ask through these methods and know no kind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from embedrt.server.exchange import Exchange
from embedrt.server.inputs import Inputs
from embedrt.server.jobs import Result
from embedrt.server.refusals import wrong_kind
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["Description", "Embedded", "ServedModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What ``/info``, ``/v1/models`` and the metrics say of a model."""

    name: str
    kind: str
    location: str
    variant: str | None
    precision: str
    sha256: str | None
    dimension: int
    pooling: str | None
    """None: the manifest names none."""
    max_tokens: int | None
    token_budget: int
    normalized: bool
    created: int
    """When its files were written, in seconds since 1970."""
    labels: dict[str, str] = field(default_factory=dict)
    """Of a classifier or a reranker."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Results in the order of the inputs."""

    results: Sequence[Result]
    tokens: int


class ServedModel:
    """A model that can do nothing yet."""

    description: Description
    tokenizer: TextTokenizer

    async def embed(self, inputs: Inputs, exchange: Exchange) -> Embedded:
        """A vector (dim,) a text, as the graph gives it."""
        raise wrong_kind("Model is not an embedding model")

    async def embed_tokens(self, inputs: Inputs, exchange: Exchange) -> Embedded:
        """Vectors (tokens, hidden) of each text."""
        raise wrong_kind("Model is not an embedding model")

    async def embed_sparse(self, inputs: Inputs, exchange: Exchange) -> Sequence[Sequence[tuple[int, float]]]:
        """Vocabulary entries and their weights, of each text."""
        raise wrong_kind("Model is not an embedding model with SPLADE pooling")

    async def rank(self, query: str, inputs: Inputs, *, raw_scores: bool, exchange: Exchange) -> Sequence[float]:
        """How well each text answers the query."""
        raise wrong_kind("model is not a re-ranker model")

    async def predict(
        self, pairs: Sequence[Sequence[str]], *, truncate: bool, raw_scores: bool, exchange: Exchange
    ) -> Sequence[dict[str, float]]:
        """Labels and their scores, for each text or pair of texts."""
        raise wrong_kind("Model is not a classifier model")

    async def aside(self, characters: int, work: Callable[[], bytes]) -> bytes:
        """``work`` on texts of so many characters, where it holds nobody up."""
        raise wrong_kind("Model has no tokenizer")

    def prefix(self, prompt_name: str | None) -> str:
        """What is put before each text."""
        raise wrong_kind("Model has no prompts")

    def similarities(self, results: Sequence[Result]) -> list[float]:
        """Of the first result with each of the others."""
        raise wrong_kind("Model is not an embedding model")

    def probe(self) -> Any:
        """A job that proves that the model runs."""
        raise wrong_kind("Model cannot be probed")
