"""Multi-vector encoders: cosines of token vectors, and whether queries order documents as before."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from embedrt_export.parity.correlation import spearman
from embedrt_export.parity.distance import row_cosines
from embedrt_export.quantization.calibration import held_out_texts
from embedrt_export.quantization.fidelity import lowest, report, require_gate
from embedrt_export.quantization.judge import Judge, Trial
from embedrt_export.quantization.retrieval import RetrievalSet, ndcg_change

from embedrt import MultiVectorEncoder
from embedrt.artifact.kinds import MultiVector
from embedrt.artifact.manifest import Parity, Serving
from embedrt.multi_vector.roles import ROLES, Roles
from embedrt.prompts import prompt_for, prompt_name_for
from embedrt.text.tokenizer import TextTokenizer, TokenRows

__all__ = ["MULTI_VECTOR", "RANK", "token_measures"]

_GATE = 0.99
"""Smallest mean cosine of token vectors that a variant may have."""
RANK = "maxsim_rank_correlation"
"""Name of the measure in reports."""

Vectors = npt.NDArray[np.float32]


def _tokens(tokenizer: TextTokenizer, serving: Serving, texts: Sequence[str]) -> TokenRows:
    """Every other text as a query, the rest as documents."""
    roles = Roles(tokenizer, serving.multi_vector or MultiVector(dimension=serving.dimension))
    parts = []
    for first, role in enumerate(ROLES):
        prefix = prompt_for(serving, prompt_name=prompt_name_for(serving, role))
        parts.append(roles.rows([prefix + text for text in texts[first::2]], role).tokens)
    lengths = np.concatenate([part.lengths for part in parts])
    attended = np.concatenate([part.lengths if part.attended is None else part.attended for part in parts])
    ids = np.concatenate([part.ids for part in parts])
    return TokenRows(ids=ids, lengths=lengths, starts=np.cumsum(lengths) - lengths, attended=attended)


def _vectors(model: Path, variant: str | None, texts: Sequence[str]) -> Vectors:
    with MultiVectorEncoder(model, variant=variant) as encoder:
        return np.concatenate([*encoder.encode_query(texts[::2]), *encoder.encode_document(texts[1::2])])


def _measure(trial: Trial) -> Parity:
    texts = held_out_texts()
    with MultiVectorEncoder(trial.folder, variant="fp32") as exact, MultiVectorEncoder(trial.graph) as variant:
        sides = [(encoder.encode_query(texts), encoder.encode_document(texts)) for encoder in (exact, variant)]
        scores = [encoder.similarity(*side) for encoder, side in zip((exact, variant), sides, strict=True)]
        ranking = ndcg_change(exact, variant, trial.sts, _retrieved) if trial.sts is not None else {}
        providers = variant.providers
    expected, found = ([*queries, *documents] for queries, documents in sides)
    cosines = [row_cosines(one, other) for one, other in zip(expected, found, strict=True)]  # (tokens,) a text
    means = np.array([np.nan_to_num(one, nan=-1).mean() if len(one) else 1 for one in cosines])  # (texts,)
    return report(
        np.concatenate(cosines),
        reference=trial.reference,
        providers=providers,
        texts=len(texts),
        difference=float(np.abs(np.concatenate(expected) - np.concatenate(found)).max()),
        worst=[texts[index % len(texts)] for index in lowest(means)],
        measures={RANK: float(spearman(*scores).mean()), **ranking},
    )


def token_measures(exact: list[Vectors], variant: list[Vectors]) -> dict[str, float]:
    """Mean and smallest cosine of the token vectors of some texts, for models that give others too."""
    cosines = row_cosines(np.concatenate(exact), np.concatenate(variant))
    return {"token_cosine_mean": float(cosines.mean()), "token_cosine_min": float(cosines.min())}


def _retrieved(encoder: MultiVectorEncoder, wanted: RetrievalSet) -> Vectors:
    """Scores (queries, documents)."""
    return encoder.similarity(encoder.encode_query(wanted.queries), encoder.encode_document(wanted.documents))


MULTI_VECTOR = Judge(gate=_GATE, tokens=_tokens, vectors=_vectors, measure=_measure, require=require_gate)
