"""Vectors of a graph against those of its original, over the parity texts in several batch sizes. No PyTorch."""

import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from embedrt_export.parity.distance import row_cosines
from embedrt_export.parity.texts import PARITY_TEXTS

from embedrt.artifact.manifest import Parity, Serving
from embedrt.errors import ParityError
from embedrt.inference.batching import Batch, padded_arrays
from embedrt.inference.session import SENTENCE_EMBEDDING, GraphSession
from embedrt.text.tokenizer import TextTokenizer, TokenRows

__all__ = ["BATCH_SIZES", "TOLERANCE", "Comparison", "Vectors", "batches_of", "compare_runs", "vectors_in_batches"]

TOLERANCE = 1e-5
"""Largest |Δ| of any component that a float32 graph may show, on the scale of unit vectors."""
BATCH_SIZES = (1, 2, 7, 64)
_SHOWN = 60  # characters of a text in a message

Vectors = npt.NDArray[np.float32]
Arrays = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came out, and where it was worst."""

    parity: Parity
    worst_text: str
    worst_batch_size: int

    def require(self, tolerance: float = TOLERANCE, suspicion: str = "", *, original: str = "the checkpoint") -> None:
        """Raise ParityError, naming the worst text, if the difference is larger than ``tolerance`` or not a number."""
        if not self.parity.max_abs_difference <= tolerance:  # NaN is not smaller
            raise ParityError(
                f"the graph differs from {original} by {self.parity.max_abs_difference:.2e}, "
                f"expected at most {tolerance:.0e}; worst text {self.worst_text[:_SHOWN]!r} "
                f"in batches of {self.worst_batch_size}{suspicion}"
            )


def compare_runs(
    runs: Mapping[int, Vectors],
    originals: Mapping[int, Vectors],
    *,
    reference: str,
    texts: tuple[str, ...] = PARITY_TEXTS,
) -> Comparison:
    """Compare, for every batch size, what the graph gave with what its original did, both (texts, dim).

    Raises:
        ParityError: their vectors differ in width.
    """
    for size, vectors in runs.items():
        _require_width(vectors.shape[1], originals[size].shape[1])
    differences = {size: _relative_difference(vectors, originals[size]) for size, vectors in runs.items()}
    worst_size = max(differences, key=lambda size: float(np.max(np.nan_to_num(differences[size], nan=np.inf))))
    cosines = np.concatenate([row_cosines(vectors, originals[size]) for size, vectors in runs.items()])
    worst_text = texts[int(np.argmax(np.nan_to_num(differences[worst_size], nan=np.inf)))]
    parity = Parity(
        reference=reference,
        runtime=f"onnxruntime {importlib.metadata.version('onnxruntime')}",
        texts=len(texts),
        batch_sizes=tuple(runs),
        max_abs_difference=float(differences[worst_size].max()),
        cosine_mean=float(cosines.mean()),
        cosine_p01=float(np.percentile(cosines, 1)),
        cosine_min=float(cosines.min()),
        worst_texts=(worst_text,),
    )
    return Comparison(parity=parity, worst_text=worst_text, worst_batch_size=worst_size)


def _require_width(width: int, expected: int) -> None:
    if width != expected:
        raise ParityError(
            f"the graph's vectors have {width} components, and those that they were compared with {expected}: "
            "pass the model that the graph was made of, which this one cannot be"
        )


def _relative_difference(vectors: Vectors, original: Vectors) -> Vectors:
    """Largest |Δ| of each text, (texts,), divided by the original's length where that is above 1: float32 noise grows with it."""
    lengths = np.maximum(np.linalg.norm(original, axis=1), 1.0)  # (texts,)
    difference: Vectors = np.abs(vectors - original).max(axis=1) / lengths
    return difference


def vectors_in_batches(
    session: GraphSession,
    tokenizer: TextTokenizer,
    serving: Serving,
    size: int,
    *,
    output: str = SENTENCE_EMBEDDING,
) -> Vectors:
    """The parity texts in their order, ``size`` a run, padded to the longest of the run: (texts, dim)."""
    tokens = tokenizer.encode(PARITY_TEXTS)
    vectors = np.zeros((len(tokens), serving.dimension), dtype=np.float32)  # stays so where a text has no token
    for rows, ids, mask in batches_of(tokens, serving, size):
        vectors[rows] = session.run(ids, mask, outputs=(output,))[0]
    return vectors


def batches_of(tokens: TokenRows, serving: Serving, size: int) -> Iterator[tuple[Arrays, Arrays, Arrays]]:
    """Neighbours of any length together: which texts (batch,), their ids and mask, both int64 (batch, sequence)."""
    present = np.flatnonzero(tokens.lengths)
    for at in range(0, len(present), size):
        rows = present[at : at + size]
        batch = Batch(rows=rows, length=int(tokens.lengths[rows].max()))
        ids, mask = padded_arrays(tokens, batch, pad_token_id=serving.pad_token_id, padding_side=serving.padding_side)
        yield rows, ids, mask
