"""Stage 5: the graph against the model that it came from, through the runtime's own session, or nothing is written."""

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from embedrt_export.checkpoint import Checkpoint, reference_name
from embedrt_export.distance import row_cosines
from embedrt_export.parity_texts import PARITY_TEXTS

from embedrt.batching import Batch, padded_arrays
from embedrt.errors import ParityError
from embedrt.manifest import Parity, Serving
from embedrt.session import GraphSession
from embedrt.text import TextTokenizer

__all__ = ["TOLERANCE", "Comparison", "compare", "reference_vectors", "vectors_in_batches"]

TOLERANCE = 1e-5
"""Largest |Δ| of any component that a float32 graph may show, on the scale of unit vectors."""
BATCH_SIZES = (1, 2, 7, 64)

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came out, and where it was worst."""

    parity: Parity
    worst_text: str
    worst_batch_size: int

    def require(self, tolerance: float = TOLERANCE, suspicion: str = "") -> None:
        """Raise ParityError, naming the worst text, if the difference is larger than ``tolerance`` or not a number."""
        if not self.parity.max_abs_difference <= tolerance:  # NaN is not smaller
            raise ParityError(
                f"the graph differs from the checkpoint by {self.parity.max_abs_difference:.2e}, "
                f"expected at most {tolerance:.0e}; worst text {self.worst_text!r:.60} "
                f"in batches of {self.worst_batch_size}{suspicion}"
            )


def reference_vectors(checkpoint: Checkpoint, texts: tuple[str, ...] = PARITY_TEXTS) -> Vectors:
    """What sentence-transformers gives for each of ``texts`` alone and without a prompt, (texts, dim)."""
    vectors: Vectors = checkpoint.model.encode(list(texts), prompt="", batch_size=1, show_progress_bar=False)
    return vectors


def compare(graph: Path, tokenizer: Path, serving: Serving, checkpoint: Checkpoint, reference: Vectors) -> Comparison:
    """Run ``graph`` over the parity texts in several batch sizes, neighbours of any length together, and compare."""
    session = GraphSession(graph)
    tokens = TextTokenizer(tokenizer, max_seq_length=serving.max_seq_length)
    runs = {size: vectors_in_batches(session, tokens, serving, size) for size in BATCH_SIZES}
    lengths = np.maximum(np.linalg.norm(reference, axis=1), 1.0)  # (texts,); float32 noise grows with them
    differences = {size: np.abs(vectors - reference).max(axis=1) / lengths for size, vectors in runs.items()}
    worst_size = max(differences, key=lambda size: float(np.max(np.nan_to_num(differences[size], nan=np.inf))))
    cosines = np.concatenate([row_cosines(vectors, reference) for vectors in runs.values()])
    worst_text = PARITY_TEXTS[int(np.argmax(np.nan_to_num(differences[worst_size], nan=np.inf)))]
    parity = Parity(
        reference=reference_name(checkpoint.source),
        runtime=f"onnxruntime {importlib.metadata.version('onnxruntime')}",
        texts=len(PARITY_TEXTS),
        batch_sizes=BATCH_SIZES,
        max_abs_difference=float(differences[worst_size].max()),
        cosine_mean=float(cosines.mean()),
        cosine_p01=float(np.percentile(cosines, 1)),
        cosine_min=float(cosines.min()),
        worst_texts=(worst_text,),
    )
    return Comparison(parity=parity, worst_text=worst_text, worst_batch_size=worst_size)


def vectors_in_batches(session: GraphSession, tokenizer: TextTokenizer, serving: Serving, size: int) -> Vectors:
    """The parity texts in their order, ``size`` a run, padded to the longest of the run: (texts, dim)."""
    tokens = tokenizer.encode(PARITY_TEXTS)
    vectors = np.empty((len(tokens), serving.dimension), dtype=np.float32)
    for at in range(0, len(tokens), size):
        rows = np.arange(at, min(at + size, len(tokens)))
        batch = Batch(rows=rows, length=int(tokens.lengths[rows].max()))
        ids, mask = padded_arrays(tokens, batch, pad_token_id=serving.pad_token_id, padding_side=serving.padding_side)
        vectors[rows] = session.run(ids, mask)[0]
    return vectors
