"""Dense encoders with further heads: the dense vectors decide, the others are measured beside them."""

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
from embedrt_export.parity.correlation import spearman
from embedrt_export.parity.distance import row_cosines
from embedrt_export.parity.term_overlap import OVERLAP, top_terms_overlap
from embedrt_export.quantization.calibration import held_out_texts
from embedrt_export.quantization.dense import DENSE
from embedrt_export.quantization.judge import Judge, Trial
from embedrt_export.quantization.multi_vector import RANK, token_measures

from embedrt import HybridEncoder, HybridVectors, SparseVectors
from embedrt.artifact.manifest import Parity
from embedrt.multi_vector.late_interaction import mean_maxsim

__all__ = ["HYBRID"]


def _measure(trial: Trial) -> Parity:
    parity = DENSE.measure(trial)
    exact, variant = _encoded(trial.folder, "fp32"), _encoded(trial.graph, None)
    return dataclasses.replace(parity, measures=parity.measures | _measures(exact, variant))


def _encoded(model: Path, variant: str | None) -> HybridVectors:
    """The held-out texts' vectors of every kind beyond the dense ones."""
    with HybridEncoder(model, variant=variant) as encoder:
        return encoder.encode(
            held_out_texts(),
            dense=False,
            sparse="sparse" in encoder.kinds,
            multi_vector="multi-vector" in encoder.kinds,
        )


def _measures(exact: HybridVectors, variant: HybridVectors) -> dict[str, float]:
    found: dict[str, float] = {}
    if exact.sparse is not None and variant.sparse is not None:
        before, after = _written_out(exact.sparse, variant.sparse)
        found |= {
            "term_cosine_mean": float(row_cosines(before, after).mean()),
            OVERLAP: float(top_terms_overlap(before, after).mean()),
        }
    if exact.multi_vector is not None and variant.multi_vector is not None:
        scores = (mean_maxsim(one.multi_vector, one.multi_vector) for one in (exact, variant) if one.multi_vector)
        found |= {**token_measures(exact.multi_vector, variant.multi_vector), RANK: float(spearman(*scores).mean())}
    return found


def _written_out(a: SparseVectors, b: SparseVectors) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Both as dense arrays (texts, terms) over the terms that occur in either: a whole vocabulary would not fit."""
    terms = np.union1d(a.indices, b.indices)
    written = []
    for vectors in (a, b):
        dense = np.zeros((len(vectors), len(terms)), dtype=np.float32)
        dense[vectors.rows, np.searchsorted(terms, vectors.indices)] = vectors.data
        written.append(dense)
    return written[0], written[1]


HYBRID = Judge(gate=DENSE.gate, tokens=DENSE.tokens, vectors=DENSE.vectors, measure=_measure, require=DENSE.require)
