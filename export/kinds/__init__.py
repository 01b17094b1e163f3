"""Kinds of models: how each is described, built as one traceable module, and compared with its original.

A kind is a value of :class:`embedrt_export.kinds.kind.Kind` in a file of its own; the pipeline knows nothing else of it.
"""

from embedrt_export.kinds.cross_encoder import CROSS_ENCODER
from embedrt_export.kinds.dense import DENSE
from embedrt_export.kinds.hybrid import HYBRID
from embedrt_export.kinds.kind import Kind
from embedrt_export.kinds.multi_vector import MULTI_VECTOR
from embedrt_export.kinds.sparse import SPARSE
from embedrt_export.kinds.static import STATIC
from embedrt_export.kinds.words import WORDS

__all__ = ["KINDS"]

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (DENSE, CROSS_ENCODER, HYBRID, MULTI_VECTOR, SPARSE, STATIC, WORDS)
}
