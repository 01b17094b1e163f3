"""Dense encoders: one vector a text."""

from typing import Any

from embedrt_export.checkpoint import Checkpoint
from embedrt_export.kinds.kind import Candidate, Kind
from embedrt_export.modules.dense import build_module
from embedrt_export.modules.graph_module import GraphModule
from embedrt_export.parity.comparison import Comparison
from embedrt_export.parity.dense import compare, reference_vectors

from embedrt.artifact.manifest import Serving

__all__ = ["DENSE"]


def _serving(checkpoint: Checkpoint) -> Serving:
    return checkpoint.serving()


def _build(checkpoint: Checkpoint, token_embeddings: bool) -> GraphModule:
    return build_module(checkpoint, token_embeddings=token_embeddings)


def _compare(candidate: Candidate, checkpoint: Checkpoint, reference: Any) -> Comparison:
    return compare(candidate.graph, candidate.tokenizer, candidate.serving, checkpoint, reference)


DENSE = Kind(name="dense", serving=_serving, build=_build, reference=reference_vectors, compare=_compare)
