"""Static embeddings, dense encoders that are a table of vectors: sentence-transformers' StaticEmbedding, and Model2Vec."""

import copy
import dataclasses
from typing import Any

import numpy as np
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.kinds.kind import Candidate, Kind
from embedrt_export.modules.graph_module import GraphModule
from embedrt_export.modules.static import build_static_module
from embedrt_export.packing.tokenizer_file import truncation_of
from embedrt_export.parity.comparison import Comparison, Vectors
from embedrt_export.parity.dense import compare
from embedrt_export.parity.texts import PARITY_TEXTS
from embedrt_export.static.embedding import LeftOutUnknown
from tokenizers import Encoding

from embedrt.artifact.manifest import Serving

__all__ = ["STATIC"]


def _serving(checkpoint: Checkpoint) -> Serving:
    model = checkpoint.model
    return Serving(
        dimension=int(model.get_embedding_dimension()),
        pooling=("mean",),
        normalize=type(model[-1]).__name__ == "Normalize" and model.truncate_dim is None,
        similarity=str(model.similarity_fn_name),
        max_seq_length=truncation_of(checkpoint.tokenizer)[0],
        prompts=dict(model.prompts),
        default_prompt_name=model.default_prompt_name,
    )


def _build(checkpoint: Checkpoint, token_embeddings: bool) -> GraphModule:
    return build_static_module(checkpoint, token_embeddings=token_embeddings)


def _reference(checkpoint: Checkpoint) -> Vectors:
    """What sentence-transformers gives for each parity text alone, in float64, (texts, dim): a sum of ten thousand rows needs it.

    Zeros for a text without any token, as the runtime has it.
    """
    model = copy.deepcopy(checkpoint.model).double()
    vectors = model.encode(list(PARITY_TEXTS), prompt="", batch_size=1, show_progress_bar=False)
    present = [bool(len(encoding.ids)) for encoding in _encodings(checkpoint)]
    return np.where(np.array(present)[:, None], vectors, 0).astype(np.float32)


def _encodings(checkpoint: Checkpoint) -> list[Encoding]:
    found: list[Encoding] = checkpoint.tokenizer.encode_batch(list(PARITY_TEXTS), add_special_tokens=False)
    return found


def _compare(candidate: Candidate, checkpoint: Checkpoint, reference: Any) -> Comparison:
    comparison = compare(candidate.graph, candidate.tokenizer, candidate.serving, checkpoint, reference)
    way = "Model2Vec's way (unknown pieces left out) in " if isinstance(checkpoint.model[0], LeftOutUnknown) else ""
    named = way + comparison.parity.reference.replace("float32", "float64")
    return dataclasses.replace(comparison, parity=dataclasses.replace(comparison.parity, reference=named))


STATIC = Kind(name="static", serving=_serving, build=_build, reference=_reference, compare=_compare)
