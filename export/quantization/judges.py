"""Which kind of model is judged how."""

from embedrt_export.quantization.dense import DENSE
from embedrt_export.quantization.judge import Judge

__all__ = ["JUDGES"]

JUDGES: dict[str, Judge] = {"dense": DENSE}
"""By the manifest's ``kind``."""
