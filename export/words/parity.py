"""A graph on words against its original: over the parity texts of all models, and over texts of its own words."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from embedrt_export.parity.comparison import BATCH_SIZES, Comparison, batches_of, compare_runs
from embedrt_export.parity.own_texts import own_texts
from embedrt_export.parity.texts import PARITY_TEXTS

from embedrt.artifact.folder import open_tokenizer
from embedrt.artifact.manifest import Serving
from embedrt.inference.session import GraphSession

__all__ = ["compare_words", "word_texts"]

Vectors = npt.NDArray[np.float32]


def word_texts(words: Sequence[str], *, split: str = "whitespace") -> tuple[str, ...]:
    """The parity texts, and texts of ``words``."""
    return (*PARITY_TEXTS, *own_texts(words, split=split))


def compare_words(
    graph: Path, tokenizer: Path, serving: Serving, texts: tuple[str, ...], expected: Vectors, *, reference: str
) -> Comparison:
    """Run ``graph`` over ``texts`` in several batch sizes, neighbours of any length together.

    Args:
        graph: the .onnx file.
        tokenizer: its words.json or tokenizer.json.
        serving: what the manifest says.
        texts: what is encoded.
        expected: what the original gives, (texts, dim).
        reference: how the report names the original.
    """
    session = GraphSession(graph)
    tokens = open_tokenizer(tokenizer, max_seq_length=serving.max_seq_length).encode(texts)
    runs = {}
    for size in BATCH_SIZES:
        vectors = np.zeros_like(expected)  # stays so where a text has no known word
        for rows, ids, mask in batches_of(tokens, serving, size):
            vectors[rows] = session.run(ids, mask)[0]
        runs[size] = vectors
    return compare_runs(runs, dict.fromkeys(runs, expected), reference=reference, texts=texts)
