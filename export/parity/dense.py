"""Stage 5: the graph against the model that it came from, through the runtime's own session, or nothing is written."""

from pathlib import Path

import numpy as np
from embedrt_export.checkpoint import Checkpoint, reference_name
from embedrt_export.parity.comparison import (
    BATCH_SIZES,
    TOLERANCE,
    Comparison,
    Vectors,
    compare_runs,
    vectors_in_batches,
)
from embedrt_export.parity.texts import PARITY_TEXTS

from embedrt.artifact.manifest import Serving
from embedrt.errors import CheckpointError
from embedrt.inference.session import GraphSession
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["TOLERANCE", "Comparison", "Vectors", "compare", "reference_vectors", "vectors_in_batches"]


def reference_vectors(checkpoint: Checkpoint, texts: tuple[str, ...] = PARITY_TEXTS) -> Vectors:
    """What sentence-transformers gives for each of ``texts`` alone and without a prompt, (texts, dim).

    Zeros for a text without any token, which a tokenizer that adds no special ones makes of an empty text:
    sentence-transformers cannot run it alone.

    Raises:
        CheckpointError: they are wider or narrower than it says.
    """
    width = int(checkpoint.model.get_embedding_dimension())
    vectors = np.zeros((len(texts), width), dtype=np.float32)
    present = [row for row, ids in enumerate(checkpoint.tokenizer(list(texts), truncation=True)["input_ids"]) if ids]
    some = [texts[row] for row in present]
    found = checkpoint.model.encode(some, prompt="", batch_size=1, show_progress_bar=False)
    if found.shape[1] != width:
        raise CheckpointError(
            f"{type(checkpoint.transformer).__name__} gives vectors of {found.shape[1]} components, and the checkpoint says "
            f"{width}: an architecture whose vectors are not as wide as they say cannot be exported"
        )
    vectors[present] = found
    return vectors


def compare(graph: Path, tokenizer: Path, serving: Serving, checkpoint: Checkpoint, reference: Vectors) -> Comparison:
    """Run ``graph`` over the parity texts in several batch sizes, neighbours of any length together, and compare."""
    session = GraphSession(graph)
    tokens = TextTokenizer(tokenizer, max_seq_length=serving.max_seq_length)
    runs = {size: vectors_in_batches(session, tokens, serving, size) for size in BATCH_SIZES}
    originals = dict.fromkeys(BATCH_SIZES, reference)
    return compare_runs(runs, originals, reference=reference_name(checkpoint.source))
