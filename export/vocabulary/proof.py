"""What a model gives for some texts, before and after its vocabulary was trimmed: the same."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SparseEncoder

from embedrt.errors import ParityError

__all__ = ["outputs", "require_same_outputs"]

_TOLERANCE = 1e-6
"""The arithmetic is the same, so the numbers are; but a library may add in another order where memory lies otherwise."""

Rows = list[npt.NDArray[np.float32]]


def outputs(model: Any, texts: list[str]) -> Rows:
    """A row (or rows) for each text, alone or, for a cross-encoder, with itself."""
    if isinstance(model, CrossEncoder):
        return list(np.atleast_1d(model.predict([(text, text) for text in texts], show_progress_bar=False)))
    if isinstance(model, MultiVectorEncoder):
        return [np.asarray(rows) for rows in model.encode_document(texts, show_progress_bar=False)]
    found = model.encode(texts, show_progress_bar=False)
    return list(found.to_dense().numpy() if isinstance(model, SparseEncoder) else found)


def require_same_outputs(before: Rows, after: Rows, kept: Sequence[int], texts: list[str]) -> None:
    """Compare what :func:`outputs` gave; where a row has a component for each piece, only those of ``kept`` are left.

    Raises:
        ParityError: a text's differ; it is named.
    """
    for text, old, new in zip(texts, before, after, strict=True):
        compared = old if old.shape == new.shape else old[np.array(kept)]
        scale = max(float(np.abs(old).max(initial=0)), 1.0)
        if not float(np.abs(compared - new).max(initial=0)) <= _TOLERANCE * scale:  # NaN is not smaller
            raise ParityError(f"with the trimmed vocabulary {text!r:.60} has another vector than before")
