"""Multi-vector encoders: a vector a token, as queries and as documents."""

from typing import Any

from embedrt_export.checkpoint import Checkpoint, reference_name
from embedrt_export.kinds.kind import Candidate, Kind
from embedrt_export.modules.graph_module import GraphModule
from embedrt_export.modules.multi_vector import build_token_vectors, normalizes
from embedrt_export.parity.comparison import Comparison
from embedrt_export.parity.roles import RoleReference, RoleVectors, compare_roles
from embedrt_export.parity.texts import PARITY_TEXTS
from embedrt_export.source.late_settings import late_settings

from embedrt.artifact.manifest import Serving
from embedrt.errors import CheckpointError
from embedrt.inference.session import GraphSession
from embedrt.multi_vector.roles import ROLES, Role
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["MULTI_VECTOR"]


def _serving(checkpoint: Checkpoint) -> Serving:
    section = late_settings(checkpoint)
    lengths = (section.query_length, section.document_length, section.text_length)
    longest = None if None in lengths else max(length for length in lengths if length is not None)
    normalized = normalizes(checkpoint)
    return Serving(
        kind="multi-vector",
        dimension=section.dimension,
        normalize=normalized,
        similarity="cosine" if normalized else "dot",
        multi_vector=section,
        **{**checkpoint.text_facts, "max_seq_length": longest},
    )


def _build(checkpoint: Checkpoint, token_embeddings: bool) -> GraphModule:
    if token_embeddings:
        raise CheckpointError("a multi-vector model gives a vector a token already: leave out --token-embeddings")
    return build_token_vectors(checkpoint)


def _reference(checkpoint: Checkpoint) -> RoleReference:
    """What sentence-transformers gives for each text alone: as a query, as a document, and as neither."""
    model, texts = checkpoint.model, list(PARITY_TEXTS)
    calls = {"query": model.encode_query, "document": model.encode_document, None: model.encode}
    options = {"batch_size": 1, "convert_to_numpy": True, "show_progress_bar": False}
    roles: list[Role | None] = [*ROLES, None]
    return RoleReference([RoleVectors(role=role, vectors=calls[role](texts, **options)) for role in roles])


def _compare(candidate: Candidate, checkpoint: Checkpoint, reference: Any) -> Comparison:
    session, serving = GraphSession(candidate.graph), candidate.serving
    tokenizer = TextTokenizer(candidate.tokenizer, max_seq_length=serving.max_seq_length)
    return compare_roles(session, tokenizer, serving, reference, name=reference_name(checkpoint.source))


MULTI_VECTOR = Kind(name="multi-vector", serving=_serving, build=_build, reference=_reference, compare=_compare)
