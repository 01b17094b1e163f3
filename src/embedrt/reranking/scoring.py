"""Pairs of texts to scores: tokenize together with the prompt in front, run those of one length together, put back in order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedrt.inference.batching import Batch
from embedrt.inference.runner import Runner
from embedrt.inference.scheduling import Arrays, Mask, Work
from embedrt.inference.session import SCORES, TOKEN_TYPE_IDS
from embedrt.opening import Opened
from embedrt.progress import Advance
from embedrt.reranking.text_pairs import Pair
from embedrt.text.tokenizer import TokenRows

__all__ = ["Scoring", "ScoringRequest"]

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringRequest:
    """How the pairs of one call are to be scored."""

    output: str = SCORES
    """The graph's output to take: ``scores`` or ``logits``."""
    prefix: str = ""
    """Put before the first text of each pair."""
    batch_size: int | None = None
    """Pairs a run; None: what the token budget allows."""
    advance: Advance = lambda _count: None
    """Told how many pairs more are done."""


class Scoring:
    """Tokenizer and sessions of one model, put together in one layout."""

    def __init__(self, opened: Opened, runner: Runner) -> None:
        self._runner, self._tokenizer, self._labels = runner, opened.tokenizer, opened.serving.dimension
        self._with_types = TOKEN_TYPE_IDS in opened.session.inputs

    def tokens(self, pairs: Sequence[Pair]) -> TokenRows:
        """Token ids of each pair, cut at the maximum length."""
        return self._tokenizer.encode_pairs(pairs, with_types=self._with_types)

    def scores(self, pairs: Sequence[Pair], request: ScoringRequest) -> Scores:
        """Scores (pairs, labels) in the order of the pairs."""
        scores = np.zeros((len(pairs), self._labels), dtype=np.float32)  # stays so where a pair has no token
        self._runner.fill(len(pairs), lambda first, stop: self._work(pairs[first:stop], scores[first:stop], request))
        return scores

    def _work(self, pairs: Sequence[Pair], scores: Scores, request: ScoringRequest) -> Work[Scores]:
        def store(batch: Batch, results: Arrays, _mask: Mask) -> None:
            scores[batch.rows] = results[0]
            request.advance(len(batch.rows))

        prefixed = [(request.prefix + first, second) for first, second in pairs] if request.prefix else pairs
        return Work(
            tokens=self.tokens(prefixed),
            outputs=(request.output,),
            consume=store,
            result=scores,
            batch_size=request.batch_size,
        )
