"""Cross-encoders: whether pairs keep the order of their scores."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from embedrt_export.parity.correlation import centered, pearson, spearman
from embedrt_export.parity.pairs import pair_name
from embedrt_export.quantization.calibration import held_out_texts
from embedrt_export.quantization.fidelity import lowest, report, require_least
from embedrt_export.quantization.judge import Judge, Trial
from embedrt_export.quantization.pairs import pairs_of
from embedrt_export.quantization.retrieval import RetrievalSet, ndcg_change
from embedrt_export.quantization.sts import Pairs, agreement, sts_change

from embedrt import CrossEncoder
from embedrt.artifact.manifest import Parity, Serving
from embedrt.text.tokenizer import TextTokenizer, TokenRows

__all__ = ["CROSS_ENCODER", "LARGEST", "PEARSON", "SPEARMAN"]

SPEARMAN, PEARSON, LARGEST = "spearman", "pearson", "largest_change"
"""Names of the measures: correlations of the logits, and their largest |Δ| in standard deviations; of the worst label."""
_GATE = 0.99
"""Smallest rank correlation of the logits that a variant may have."""
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
        sts = trial.sts if exact.num_labels == 1 else None
        changes = sts_change(exact, variant, sts, score=_sts) if sts is not None else {}
        ranking = (
            ndcg_change(exact, variant, sts, _retrieved, queries=_QUERIES, documents=_DOCUMENTS)
            if sts is not None
            else {}
        )
        providers = variant.providers
    change = np.abs(found - expected) / np.maximum(expected.std(axis=0), np.finfo(np.float32).tiny)  # (pairs, labels)
    straight, order = pearson(expected.T, found.T), spearman(expected.T, found.T)  # each (labels,)
    return report(
        straight,
        reference=trial.reference,
        providers=providers,
        texts=len(pairs),
        difference=float(np.abs(expected - found).max()),
        worst=[pair_name(pairs[index]) for index in lowest(-change.max(axis=1))],
        sts_change=changes,
        measures={
            SPEARMAN: float(order.min()),
            PEARSON: float(straight.min()),
            LARGEST: float(change.max()),
            **ranking,
        },
    )


def _logits(reranker: CrossEncoder, pairs: Sequence[tuple[str, str]]) -> Scores:
    """Before the activation, (pairs, labels)."""
    logits: Scores = reranker.predict(pairs, activation_fn="identity")
    return logits.reshape(len(pairs), -1)


def _sts(reranker: CrossEncoder, pairs: Pairs) -> float:
    return agreement(_logits(reranker, list(zip(pairs.first, pairs.second, strict=True)))[:, 0], pairs)


def _retrieved(reranker: CrossEncoder, wanted: RetrievalSet) -> Scores:
    """Of every query with every document, (queries, documents)."""
    pairs = [(query, document) for query in wanted.queries for document in wanted.documents]
    return _logits(reranker, pairs).reshape(wanted.relevance.shape)


def _require(parity: Parity, gate: float, blamed: Sequence[str]) -> None:
    """Refuse a variant whose rank correlation with the float32 graph is below ``gate``.

    Raises:
        FidelityError: it is; the message names the worst pair and the products with the largest errors.
    """
    found = parity.measures[SPEARMAN]
    said = f"the rank correlation of the logits with those of the float32 graph is {found:.4f}"
    require_least(found, gate, said, f"pair {parity.worst_texts[0]!r:.90}", blamed)


CROSS_ENCODER = Judge(gate=_GATE, tokens=_tokens, vectors=_vectors, measure=_measure, require=_require)
