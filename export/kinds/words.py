"""Models of whole words: dense encoders that begin with WordEmbeddings or BoW instead of a transformer."""

from typing import Any

import numpy as np
import onnx_ir
from embedrt_export.checkpoint import Checkpoint, reference_name
from embedrt_export.kinds.kind import Candidate, Kind
from embedrt_export.parity.comparison import Comparison, Vectors
from embedrt_export.words.checkpoint import word_model
from embedrt_export.words.graph import word_graph
from embedrt_export.words.parity import compare_words, word_texts
from embedrt_export.words.side_files import max_seq_length, vocabulary_of, write_word_files

from embedrt.artifact.manifest import Serving

__all__ = ["WORDS"]


def _serving(checkpoint: Checkpoint) -> Serving:
    model = checkpoint.model
    modes = checkpoint.pooling.pooling_mode if checkpoint.pooling is not None else ()
    return Serving(
        dimension=int(model.get_embedding_dimension()),
        pooling=(modes,) if isinstance(modes, str) else tuple(modes),
        normalize=type(model[-1]).__name__ == "Normalize" and model.truncate_dim is None,
        similarity=str(model.similarity_fn_name),
        max_seq_length=max_seq_length(checkpoint),
        prompts=dict(model.prompts),
        default_prompt_name=model.default_prompt_name,
    )


def _build(checkpoint: Checkpoint, token_embeddings: bool) -> onnx_ir.Model:
    dimension = int(checkpoint.model.get_embedding_dimension())
    return word_graph(word_model(checkpoint), dimension=dimension, token_embeddings=token_embeddings)


def _reference(checkpoint: Checkpoint) -> Vectors:
    """What sentence-transformers gives for each text alone, (texts, dim); zeros for one without known words.

    There sentence-transformers gives what its modules make of nothing, −∞ behind max pooling for one: the graph gives zeros.
    """
    texts = _texts(checkpoint)
    vectors = np.zeros((len(texts), int(checkpoint.model.get_embedding_dimension())), dtype=np.float32)
    tokenizer = checkpoint.model[0].tokenizer
    present = [row for row, text in enumerate(texts) if tokenizer.tokenize(text)]
    some = [texts[row] for row in present]
    vectors[present] = checkpoint.model.encode(some, prompt="", batch_size=1, show_progress_bar=False)
    return vectors


def _texts(checkpoint: Checkpoint) -> tuple[str, ...]:
    return word_texts(vocabulary_of(checkpoint))


def _compare(candidate: Candidate, checkpoint: Checkpoint, reference: Any) -> Comparison:
    return compare_words(
        candidate.graph,
        candidate.tokenizer,
        candidate.serving,
        _texts(checkpoint),
        reference,
        reference=reference_name(checkpoint.source),
    )


WORDS = Kind(
    name="words",
    serving=_serving,
    build=_build,
    reference=_reference,
    compare=_compare,
    side_files=write_word_files,
)
