"""Cross-encoders: whether pairs keep the order of their scores."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from embedrt_export.correlation import centered, pearson, spearman
from embedrt_export.parity_pairs import pair_name
from embedrt_export.quantization.calibration import held_out_texts
from embedrt_export.quantization.judge import Judge, Trial
from embedrt_export.quantization.pairs import pairs_of
from embedrt_export.quantization.retrieval import ndcg, retrieval_set
from embedrt_export.quantization.sts import Pairs, sts_sets

from embedrt import CrossEncoder
from embedrt.errors import FidelityError
from embedrt.manifest import Parity, Serving
from embedrt.text import TextTokenizer, TokenRows

__all__ = ["CROSS_ENCODER", "LARGEST", "PEARSON", "SPEARMAN"]

SPEARMAN, PEARSON, LARGEST = "spearman", "pearson", "largest_change"
"""Names of the measures: correlations of the logits, and their largest |Δ| in standard deviations; of the worst label."""
_GATE = 0.99
"""Smallest rank correlation of the logits that a variant may have."""
_WORST = 3
_QUERIES, _DOCUMENTS = 48, 96
"""Each document is read with each query."""

Scores = npt.NDArray[np.float32]


def _tokens(tokenizer: TextTokenizer, _serving: Serving, texts: Sequence[str]) -> TokenRows:
    return tokenizer.encode_pairs(pairs_of(texts), with_types=True)


def _vectors(model: Path, variant: str | None, texts: Sequence[str]) -> Scores:
    """A row a label, less its mean: a cosine of two rows is a correlation."""
    with CrossEncoder(model, variant=variant) as reranker:
        return centered(_logits(reranker, pairs_of(texts)).T).astype(np.float32)


def _measure(trial: Trial) -> Parity:
    pairs = pairs_of(held_out_texts())
    with CrossEncoder(trial.folder, variant="fp32") as exact, CrossEncoder(trial.graph) as variant:
        expected, found = _logits(exact, pairs), _logits(variant, pairs)  # (pairs, labels)
        one_score = trial.sts is not None and exact.num_labels == 1
        sts_change = _sts_change(exact, variant, trial.sts) if one_score and trial.sts else {}
        ndcg_change = {"ndcg_change": _ndcg_change(exact, variant, trial.sts)} if one_score and trial.sts else {}
        providers = ", ".join(variant.providers)
    change = np.abs(found - expected) / np.maximum(expected.std(axis=0), np.finfo(np.float32).tiny)  # (pairs, labels)
    worst = np.argsort(-np.nan_to_num(change, nan=np.inf).max(axis=1), kind="stable")[:_WORST]
    straight, order = pearson(expected.T, found.T), spearman(expected.T, found.T)  # each (labels,)
    return Parity(
        reference=trial.reference,
        runtime=providers,
        texts=len(pairs),
        batch_sizes=(),
        max_abs_difference=float(np.abs(expected - found).max()),
        cosine_mean=float(straight.mean()),
        cosine_p01=float(np.percentile(straight, 1)),
        cosine_min=float(straight.min()),
        worst_texts=tuple(pair_name(pairs[int(index)]) for index in worst),
        sts_change=sts_change,
        measures={
            SPEARMAN: float(order.min()),
            PEARSON: float(straight.min()),
            LARGEST: float(change.max()),
            **ndcg_change,
        },
    )


def _logits(reranker: CrossEncoder, pairs: Sequence[tuple[str, str]]) -> Scores:
    """Before the activation, (pairs, labels)."""
    logits: Scores = reranker.predict(pairs, activation_fn="identity")
    return logits.reshape(len(pairs), -1)


def _sts_change(exact: CrossEncoder, variant: CrossEncoder, folder: Path) -> dict[str, float]:
    """Spearman × 100 with the gold scores, of ``variant`` minus that of ``exact``, for every set, and the mean of these."""
    changes = {name: _sts(variant, pairs) - _sts(exact, pairs) for name, pairs in sts_sets(folder).items()}
    return {**changes, "mean": float(np.mean(list(changes.values())))}


def _sts(reranker: CrossEncoder, pairs: Pairs) -> float:
    scores = _logits(reranker, list(zip(pairs.first, pairs.second, strict=True)))
    return 100 * float(spearman(scores.T, np.array([pairs.gold]))[0])


def _ndcg_change(exact: CrossEncoder, variant: CrossEncoder, folder: Path) -> float:
    """nDCG@10 × 100 on a retrieval set of all STS pairs, of ``variant`` minus that of ``exact``."""
    every = sum(sts_sets(folder).values(), Pairs([], [], []))
    wanted = retrieval_set(every, queries=_QUERIES, documents=_DOCUMENTS)
    pairs = [(query, document) for query in wanted.queries for document in wanted.documents]
    before, after = (
        ndcg(_logits(reranker, pairs).reshape(wanted.relevance.shape), wanted.relevance)
        for reranker in (exact, variant)
    )
    return after - before


def _require(parity: Parity, gate: float, blamed: Sequence[str]) -> None:
    """Refuse a variant whose rank correlation with the float32 graph is below ``gate``.

    Raises:
        FidelityError: it is; the message names the worst pair and the products with the largest errors.
    """
    found = parity.measures[SPEARMAN]
    if not found >= gate:  # NaN is not larger
        raise FidelityError(
            f"the rank correlation of the logits with those of the float32 graph is {found:.4f}, expected at least {gate}; "
            f"worst pair {parity.worst_texts[0]!r:.90}, largest errors in {', '.join(blamed) or 'no single product'}. "
            "Pass other texts with --calibration, or --allow-below-gate to write it all the same"
        )


CROSS_ENCODER = Judge(gate=_GATE, tokens=_tokens, vectors=_vectors, measure=_measure, require=_require)
