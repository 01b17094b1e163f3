"""embedrt: sentence embeddings from one verified ONNX graph, without PyTorch.

from embedrt import SentenceEncoder

encoder = SentenceEncoder("minilm/")
vectors = encoder.encode(["How do I reset my password?", "忘记密码怎么办？"])   # float32 (2, 384)
encoder.similarity(vectors, vectors)                                            # (2, 2)
"""

from embedrt.cross_encoder import CrossEncoder
from embedrt.encoder import SentenceEncoder
from embedrt.errors import EmbedrtError
from embedrt.hybrid_encoder import HybridEncoder, HybridVectors
from embedrt.multi_vector_encoder import MultiVectorEncoder
from embedrt.sparse_encoder import SparseEncoder
from embedrt.sparse_vectors import SparseVector, SparseVectors

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
