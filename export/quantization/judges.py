"""Which kind of model is judged how."""

from embedrt_export.quantization.dense import DENSE
from embedrt_export.quantization.judge import Judge
from embedrt_export.quantization.sparse import SPARSE

__all__ = ["JUDGES"]

JUDGES: dict[str, Judge] = {"dense": DENSE, "sparse": SPARSE}
"""By the manifest's ``kind``."""
