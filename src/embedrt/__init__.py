"""embedrt: sentence embeddings from one verified ONNX graph, without PyTorch.

from embedrt import SentenceEncoder

encoder = SentenceEncoder("minilm/")
vectors = encoder.encode(["How do I reset my password?", "忘记密码怎么办？"])   # float32 (2, 384)
encoder.similarity(vectors, vectors)                                            # (2, 2)
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from embedrt.errors import EmbedrtError

if TYPE_CHECKING:
    from embedrt.cross_encoder import CrossEncoder
    from embedrt.encoder import SentenceEncoder
    from embedrt.hybrid_encoder import HybridEncoder, HybridVectors
    from embedrt.multi_vector_encoder import MultiVectorEncoder
    from embedrt.sparse.vectors import SparseVector, SparseVectors
    from embedrt.sparse_encoder import SparseEncoder

__all__ = [
    "CrossEncoder",
    "EmbedrtError",
    "HybridEncoder",
    "HybridVectors",
    "MultiVectorEncoder",
    "SentenceEncoder",
    "SparseEncoder",
    "SparseVector",
    "SparseVectors",
    "__version__",
]
__version__ = "0.1.0"

# from 1.31 on ONNX Runtime's own packages report to Microsoft from their import on, unless this is set before; 0 lets them
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_ROOMS = {
    "CrossEncoder": "cross_encoder",
    "HybridEncoder": "hybrid_encoder",
    "HybridVectors": "hybrid_encoder",
    "MultiVectorEncoder": "multi_vector_encoder",
    "SentenceEncoder": "encoder",
    "SparseEncoder": "sparse_encoder",
    "SparseVector": "sparse.vectors",
    "SparseVectors": "sparse.vectors",
}
"""Where each class is; imported when it is asked for, since nobody who asks for one needs all."""


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_ROOMS[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
