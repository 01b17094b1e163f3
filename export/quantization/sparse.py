"""Sparse encoders: whether a text keeps its heaviest terms, and its vector."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from embedrt_export.distance import row_cosines
from embedrt_export.quantization.calibration import held_out_texts
from embedrt_export.quantization.judge import Judge, Trial
from embedrt_export.quantization.retrieval import ndcg, retrieval_set
from embedrt_export.quantization.sts import Pairs, sts_sets
from embedrt_export.term_overlap import OVERLAP, TOP_TERMS, top_terms_overlap

from embedrt import SparseEncoder
from embedrt.errors import FidelityError
from embedrt.manifest import Parity, Serving
from embedrt.text import TextTokenizer, TokenRows

__all__ = ["SPARSE"]

_GATE = 0.9
"""Smallest mean share of a text's heaviest terms that a variant may keep."""
_WORST = 3


def _tokens(tokenizer: TextTokenizer, _serving: Serving, texts: Sequence[str]) -> TokenRows:
    return tokenizer.encode(texts)


def _vectors(model: Path, variant: str | None, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    with SparseEncoder(model, variant=variant) as encoder:
        return encoder.encode_document(texts).to_dense()


def _measure(trial: Trial) -> Parity:
    texts = held_out_texts()
    expected, found = _vectors(trial.folder, "fp32", texts), _vectors(trial.graph, None, texts)
    cosines, overlaps = row_cosines(expected, found), top_terms_overlap(expected, found)
    worst = [texts[int(index)] for index in np.argsort(np.nan_to_num(overlaps, nan=-np.inf), kind="stable")[:_WORST]]
    parity = Parity(
        reference=trial.reference,
        runtime="CPUExecutionProvider",
        texts=len(texts),
        batch_sizes=(),
        max_abs_difference=float(np.abs(expected - found).max()),
        cosine_mean=float(cosines.mean()),
        cosine_p01=float(np.percentile(cosines, 1)),
        cosine_min=float(cosines.min()),
        worst_texts=tuple(worst),
        measures={OVERLAP: float(overlaps.mean()), f"{OVERLAP}_min": float(overlaps.min())},
    )
    if trial.sts is None:
        return parity
    return dataclasses.replace(parity, measures=parity.measures | {"ndcg_change": _ndcg_change(trial, trial.sts)})


def _ndcg_change(trial: Trial, sts: Path) -> float:
    """nDCG@10 × 100 on a retrieval set of all STS pairs, of the variant minus that of the float32 graph."""
    pairs = sum(sts_sets(sts).values(), Pairs([], [], []))
    wanted = retrieval_set(pairs)
    scores = []
    for model, variant in ((trial.folder, "fp32"), (trial.graph, None)):
        with SparseEncoder(model, variant=variant) as encoder:
            # documents on both sides: fixed weights of queries are no part of a graph
            queries, documents = encoder.encode_document(wanted.queries), encoder.encode_document(wanted.documents)
            scores.append(encoder.similarity(queries, documents))
    return ndcg(scores[1], wanted.relevance) - ndcg(scores[0], wanted.relevance)


def _require(parity: Parity, gate: float, blamed: Sequence[str]) -> None:
    """Refuse a variant that keeps a smaller share of a text's heaviest terms than ``gate``, in the mean.

    Raises:
        FidelityError: it does; the message names the worst text and the products with the largest errors.
    """
    found = parity.measures[OVERLAP]
    if not found >= gate:  # NaN is not larger
        raise FidelityError(
            f"of the {TOP_TERMS} heaviest terms a text keeps {found:.4f} in the mean, expected at least {gate}; worst text "
            f"{parity.worst_texts[0]!r:.60}, largest errors in {', '.join(blamed) or 'no single product'}. "
            "Pass other texts with --calibration, or --allow-below-gate to write it all the same"
        )


SPARSE = Judge(gate=_GATE, tokens=_tokens, vectors=_vectors, measure=_measure, require=_require)
