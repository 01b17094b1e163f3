"""Sparse encoders: whether a text keeps its heaviest terms, and its vector."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from embedrt_export.parity.distance import row_cosines
from embedrt_export.parity.term_overlap import OVERLAP, TOP_TERMS, top_terms_overlap
from embedrt_export.quantization.calibration import held_out_texts
from embedrt_export.quantization.fidelity import lowest, report, require_least
from embedrt_export.quantization.judge import Judge, Trial
from embedrt_export.quantization.retrieval import RetrievalSet, ndcg_change

from embedrt import SparseEncoder
from embedrt.artifact.manifest import Parity, Serving
from embedrt.text.tokenizer import TextTokenizer, TokenRows

__all__ = ["SPARSE"]

_GATE = 0.9
"""Smallest mean share of a text's heaviest terms that a variant may keep."""


def _tokens(tokenizer: TextTokenizer, _serving: Serving, texts: Sequence[str]) -> TokenRows:
    return tokenizer.encode(texts)


def _vectors(model: Path, variant: str | None, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    with SparseEncoder(model, variant=variant) as encoder:
        return encoder.encode_document(texts).to_dense()


def _measure(trial: Trial) -> Parity:
    texts = held_out_texts()
    with SparseEncoder(trial.folder, variant="fp32") as exact, SparseEncoder(trial.graph) as variant:
        expected, found = (encoder.encode_document(texts).to_dense() for encoder in (exact, variant))
        ranking = ndcg_change(exact, variant, trial.sts, _retrieved) if trial.sts is not None else {}
        providers = variant.providers
    overlaps = top_terms_overlap(expected, found)
    return report(
        row_cosines(expected, found),
        reference=trial.reference,
        providers=providers,
        texts=len(texts),
        difference=float(np.abs(expected - found).max()),
        worst=[texts[index] for index in lowest(overlaps)],
        measures={OVERLAP: float(overlaps.mean()), f"{OVERLAP}_min": float(overlaps.min()), **ranking},
    )


def _retrieved(encoder: SparseEncoder, wanted: RetrievalSet) -> npt.NDArray[np.float32]:
    """Scores (queries, documents); documents on both sides: fixed weights of queries are no part of a graph."""
    return encoder.similarity(encoder.encode_document(wanted.queries), encoder.encode_document(wanted.documents))


def _require(parity: Parity, gate: float, blamed: Sequence[str]) -> None:
    """Refuse a variant that keeps a smaller share of a text's heaviest terms than ``gate``, in the mean.

    Raises:
        FidelityError: it does; the message names the worst text and the products with the largest errors.
    """
    found = parity.measures[OVERLAP]
    said = f"of the {TOP_TERMS} heaviest terms a text keeps {found:.4f} in the mean"
    require_least(found, gate, said, f"text {parity.worst_texts[0]!r:.60}", blamed)


SPARSE = Judge(gate=_GATE, tokens=_tokens, vectors=_vectors, measure=_measure, require=_require)
