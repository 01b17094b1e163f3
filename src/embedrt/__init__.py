"""embedrt: sentence embeddings from one verified ONNX graph, without PyTorch.

from embedrt import SentenceEncoder

encoder = SentenceEncoder("minilm/")
vectors = encoder.encode(["How do I reset my password?", "忘记密码怎么办？"])   # float32 (2, 384)
encoder.similarity(vectors, vectors)                                            # (2, 2)
"""

from embedrt.encoder import SentenceEncoder
from embedrt.errors import EmbedrtError

__all__ = ["EmbedrtError", "SentenceEncoder", "__version__"]
__version__ = "0.1.0"
