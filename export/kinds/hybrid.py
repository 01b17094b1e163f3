"""Dense encoders with further heads (BGE-M3): a vector a text, a weight a token and a vector a token, from one graph."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from embedrt_export.checkpoint import Checkpoint, reference_name
from embedrt_export.kinds.kind import Candidate, Kind
from embedrt_export.modules.graph_module import GraphModule
from embedrt_export.modules.hybrid import build_hybrid, heads_of
from embedrt_export.parity.comparison import BATCH_SIZES, Comparison, batches_of, compare_runs
from embedrt_export.parity.dense import compare, reference_vectors
from embedrt_export.parity.roles import RoleReference, RoleVectors, compare_roles
from embedrt_export.parity.texts import PARITY_TEXTS
from torch.nn.functional import normalize

from embedrt.artifact.kinds import MultiVector, Sparse
from embedrt.artifact.manifest import Serving
from embedrt.errors import CheckpointError
from embedrt.inference.session import TOKEN_WEIGHTS, GraphSession
from embedrt.prompts import prompt_for
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["HYBRID"]

Vectors = npt.NDArray[np.float32]
_NO_TERMS = ("cls_token_id", "eos_token_id", "pad_token_id", "unk_token_id")
"""Tokens that FlagEmbedding leaves out of lexical weights."""
_FIRST = 1
"""Leading tokens that have no vector there: the one that pooling takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    """The parity texts, each alone."""

    dense: Vectors
    """(texts, dim)"""
    weights: list[Vectors] | None
    """(tokens,) a text"""
    tokens: RoleReference | None

    def __len__(self) -> int:
        return len(self.dense)


def _serving(checkpoint: Checkpoint) -> Serving:
    heads, dense = heads_of(checkpoint), checkpoint.serving()
    length = dense.max_seq_length
    ignored = {getattr(checkpoint.tokenizer, name, None) for name in _NO_TERMS}
    sparse = Sparse(
        output=TOKEN_WEIGHTS,
        dimension=int(checkpoint.transformer.config.vocab_size),
        ignored_token_ids=tuple(sorted(number for number in ignored if number is not None)),
    )
    tokens = None
    if heads.colbert is not None:
        tokens = MultiVector(
            dimension=heads.colbert.out_features,
            similarity="meanmaxsim",
            query_length=length,
            document_length=length,
            text_length=length,
            leading=_FIRST,
        )
    return dataclasses.replace(dense, sparse=sparse if heads.sparse is not None else None, multi_vector=tokens)


def _build(checkpoint: Checkpoint, token_embeddings: bool) -> GraphModule:
    if token_embeddings:
        raise CheckpointError(
            "this checkpoint has token vectors of its own, from its head: leave out --token-embeddings"
        )
    return build_hybrid(checkpoint)


def _reference(checkpoint: Checkpoint) -> _Reference:
    """The dense vectors from sentence-transformers, and the heads on its last hidden states."""
    heads = heads_of(checkpoint)
    options = {"output_value": "token_embeddings", "batch_size": 1, "show_progress_bar": False}
    hidden = checkpoint.model.encode(list(PARITY_TEXTS), **options)  # (tokens, hidden) a text
    weights, vectors = None, None
    with torch.no_grad():
        if heads.sparse is not None:
            weights = [heads.sparse(states).relu()[:, 0].numpy() for states in hidden]
        if heads.colbert is not None:
            vectors = [normalize(heads.colbert(states[_FIRST:]), dim=-1).numpy() for states in hidden]
    tokens = RoleReference([RoleVectors(role=None, vectors=vectors)]) if vectors is not None else None
    return _Reference(dense=reference_vectors(checkpoint), weights=weights, tokens=tokens)


def _compare(candidate: Candidate, checkpoint: Checkpoint, reference: _Reference) -> Comparison:
    """Every output; the largest difference of any is the comparison's."""
    session, serving = GraphSession(candidate.graph), candidate.serving
    tokenizer = TextTokenizer(candidate.tokenizer, max_seq_length=serving.max_seq_length)
    name = reference_name(checkpoint.source)
    dense = compare(candidate.graph, candidate.tokenizer, serving, checkpoint, reference.dense)
    further = {}
    if reference.weights is not None:
        further["token_weights"] = _compare_weights(session, tokenizer, serving, reference.weights, name)
    if reference.tokens is not None:
        further["token_vectors"] = compare_roles(session, tokenizer, serving, reference.tokens, name=name)
    worst = max((dense, *further.values()), key=lambda one: np.nan_to_num(one.parity.max_abs_difference, nan=np.inf))
    parity = dataclasses.replace(
        dense.parity,
        max_abs_difference=worst.parity.max_abs_difference,
        measures={f"{name}_max_abs_difference": one.parity.max_abs_difference for name, one in further.items()},
    )
    return dataclasses.replace(worst, parity=parity)


def _compare_weights(
    session: GraphSession, tokenizer: TextTokenizer, serving: Serving, expected: list[Vectors], name: str
) -> Comparison:
    """The weight of each token of each text, several batch sizes."""
    prefix = prompt_for(serving)
    tokens = tokenizer.encode([prefix + text for text in PARITY_TEXTS])
    runs = {}
    for size in BATCH_SIZES:
        found = [np.empty(0, dtype=np.float32)] * len(tokens)
        for rows, ids, mask in batches_of(tokens, serving, size):
            weights = session.run(ids, mask, outputs=(TOKEN_WEIGHTS,))[0]
            for row, weight, seen in zip(rows, weights, mask, strict=True):
                found[row] = weight[seen == 1]
        runs[size] = np.concatenate(found)[:, None]  # (tokens, 1)
    originals: Any = np.concatenate(expected)[:, None]
    labels = tuple(text for text, weights in zip(PARITY_TEXTS, expected, strict=True) for _ in weights)
    return compare_runs(runs, dict.fromkeys(runs, originals), reference=name, texts=labels)


HYBRID = Kind(name="hybrid", serving=_serving, build=_build, reference=_reference, compare=_compare)
