"""Which kind of model is judged how."""

from embedrt_export.quantization.cross_encoder import CROSS_ENCODER
from embedrt_export.quantization.dense import DENSE
from embedrt_export.quantization.hybrid import HYBRID
from embedrt_export.quantization.judge import Judge
from embedrt_export.quantization.multi_vector import MULTI_VECTOR
from embedrt_export.quantization.sparse import SPARSE

from embedrt.artifact.manifest import Serving

__all__ = ["JUDGES", "judge_of"]

JUDGES: dict[str, Judge] = {
    "cross-encoder": CROSS_ENCODER,
    "dense": DENSE,
    "hybrid": HYBRID,
    "multi-vector": MULTI_VECTOR,
    "sparse": SPARSE,
}
"""By the manifest's ``kind``; ``hybrid`` where a graph gives several."""


def judge_of(serving: Serving) -> Judge:
    """The one for models that are served so."""
    return JUDGES["hybrid" if len(serving.kinds) > 1 else serving.kind]
