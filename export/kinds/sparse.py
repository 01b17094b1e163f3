"""Sparse encoders: a weight for each term of the vocabulary. Queries of inference-free ones have fixed weights and no graph."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from embedrt_export.checkpoint import Checkpoint, reference_name
from embedrt_export.kinds.kind import Candidate, Kind
from embedrt_export.modules.graph_module import GraphModule
from embedrt_export.modules.sparse import build_sparse_module
from embedrt_export.parity.comparison import BATCH_SIZES, Comparison, Vectors, compare_runs, vectors_in_batches
from embedrt_export.parity.term_overlap import OVERLAP, top_terms_overlap
from embedrt_export.parity.texts import PARITY_TEXTS
from embedrt_export.source.routes import static_queries
from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder, SpladePooling

from embedrt.artifact.hub_files import UNLIMITED
from embedrt.artifact.kinds import Sparse
from embedrt.artifact.manifest import Serving
from embedrt.inference.session import SPARSE_EMBEDDING, GraphSession
from embedrt.sparse.encoding import SparseRequest, StaticTerms
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["SPARSE"]

_QUERY_WEIGHTS = "query_weights.npy"


@dataclass(frozen=True, slots=True)
class _Reference:
    """Dense vectors (texts, dimension) of the parity texts, nothing pruned."""

    documents: Vectors
    queries: Vectors | None
    """Where these are encoded without the graph."""

    def __len__(self) -> int:
        return len(self.documents) * (1 if self.queries is None else 2)


def _serving(checkpoint: Checkpoint) -> Serving:
    model, queries = checkpoint.model, static_queries(checkpoint.whole)
    last = model[-1]
    most = model.max_active_dims
    if most is None and isinstance(last, SparseAutoEncoder):
        most = last.k
    described = Sparse(max_active_dims=most)
    if queries is not None:
        described = dataclasses.replace(
            described,
            query_weights=_QUERY_WEIGHTS,
            query_max_seq_length=min(int(queries.tokenizer.model_max_length), UNLIMITED),
            default_side=checkpoint.whole[0].default_route or "document",
        )
    return Serving(
        kind="sparse",
        dimension=_dimension(checkpoint),
        pooling=_pooling(checkpoint),
        similarity=str(model.similarity_fn_name),
        include_prompt=checkpoint.pooling is None or bool(checkpoint.pooling.include_prompt),
        sparse=described,
        **checkpoint.text_facts,
    )


def _dimension(checkpoint: Checkpoint) -> int:
    """SpladePooling knows it only when the checkpoint was saved with it."""
    if isinstance(checkpoint.model[-1], SpladePooling):
        return int(checkpoint.transformer.config.vocab_size)
    return int(checkpoint.model.get_embedding_dimension())


def _pooling(checkpoint: Checkpoint) -> tuple[str, ...]:
    last = checkpoint.model[-1]
    if isinstance(last, SpladePooling):
        return (last.pooling_strategy,)
    modes = checkpoint.pooling.pooling_mode if checkpoint.pooling is not None else ()
    return (modes,) if isinstance(modes, str) else tuple(modes)


def _build(checkpoint: Checkpoint, _token_embeddings: bool) -> GraphModule:
    return build_sparse_module(checkpoint)


def _files(checkpoint: Checkpoint, folder: Path) -> None:
    queries = static_queries(checkpoint.whole)
    if queries is not None:
        np.save(folder / _QUERY_WEIGHTS, queries.weight.detach().float().numpy())


def _reference(checkpoint: Checkpoint) -> _Reference:
    queries, width = static_queries(checkpoint.whole), _dimension(checkpoint)
    ids = _ids(checkpoint.tokenizer, special_tokens=checkpoint.transformer is not None)
    documents = _original(checkpoint.model, ids, width, task="document")
    if queries is None:
        return _Reference(documents, None)
    ids = _ids(queries.tokenizer, special_tokens=False)
    return _Reference(documents, _original(checkpoint.whole, ids, width, task="query"))


def _ids(tokenizer: Any, *, special_tokens: bool) -> list[list[int]]:
    found: list[list[int]] = tokenizer(list(PARITY_TEXTS), truncation=True, add_special_tokens=special_tokens)[
        "input_ids"
    ]
    return found


def _original(model: Any, ids: list[list[int]], width: int, *, task: str) -> Vectors:
    """What sentence-transformers gives for each parity text alone and without a prompt, (texts, dimension).

    Zeros for a text without any token: sentence-transformers cannot run it alone.
    """
    vectors = np.zeros((len(PARITY_TEXTS), width), dtype=np.float32)
    present = [row for row, tokens in enumerate(ids) if tokens]
    options = {"prompt": "", "batch_size": 1, "show_progress_bar": False, "max_active_dims": width, "task": task}
    texts = [PARITY_TEXTS[row] for row in present]
    vectors[present] = model.encode(texts, convert_to_sparse_tensor=False, **options).numpy()
    return vectors


def _compare(candidate: Candidate, checkpoint: Checkpoint, reference: _Reference) -> Comparison:
    """The graph in several batch sizes, and the runtime's own vectors of queries where these have no graph."""
    session, serving = GraphSession(candidate.graph), candidate.serving
    tokenizer = TextTokenizer(candidate.tokenizer, max_seq_length=serving.max_seq_length)
    runs = {
        size: vectors_in_batches(session, tokenizer, serving, size, output=SPARSE_EMBEDDING) for size in BATCH_SIZES
    }
    comparison = compare_runs(
        runs, dict.fromkeys(BATCH_SIZES, reference.documents), reference=reference_name(checkpoint.source)
    )
    measures = {OVERLAP: float(top_terms_overlap(runs[1], reference.documents).mean())}
    if reference.queries is not None:
        comparison = _worse(comparison, _compare_queries(candidate, checkpoint, reference.queries))
    return dataclasses.replace(comparison, parity=dataclasses.replace(comparison.parity, measures=measures))


def _compare_queries(candidate: Candidate, checkpoint: Checkpoint, expected: Vectors) -> Comparison:
    described = candidate.serving.sparse
    assert described is not None  # noqa: S101  there are no such queries without
    assert described.query_weights is not None  # noqa: S101
    terms = StaticTerms(
        candidate.tokenizer.parent / described.query_weights,
        lambda: TextTokenizer(candidate.tokenizer, max_seq_length=described.query_max_seq_length),
        dimension=candidate.serving.dimension,
    )
    found = terms.encode(list(PARITY_TEXTS), SparseRequest()).to_dense()
    return compare_runs({1: found}, {1: expected}, reference=reference_name(checkpoint.source))


def _worse(graph: Comparison, queries: Comparison) -> Comparison:
    """The graph's comparison, unless that of queries is worse."""
    if queries.parity.max_abs_difference <= graph.parity.max_abs_difference:
        return graph
    return dataclasses.replace(queries, parity=dataclasses.replace(queries.parity, batch_sizes=BATCH_SIZES))


SPARSE = Kind(name="sparse", serving=_serving, build=_build, reference=_reference, compare=_compare, files=_files)
