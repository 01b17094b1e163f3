"""Static embeddings: a table of vectors, one a token, and their mean; no transformer.

``folder.py`` reads Model2Vec's folders, ``embedding.py`` is how such a model cuts texts. What is traced is in
:mod:`embedrt_export.modules.static`; :mod:`embedrt_export.changes.distillation` makes such a model of any encoder.
"""

from embedrt_export.static.embedding import LeftOutUnknown
from embedrt_export.static.folder import is_model2vec, load_model2vec

__all__ = ["LeftOutUnknown", "is_model2vec", "load_model2vec"]
