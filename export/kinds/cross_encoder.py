"""Cross-encoders: scores of a pair of texts that are read together."""

import dataclasses
from typing import Any

import numpy as np
from embedrt_export.checkpoint import Checkpoint, reference_name
from embedrt_export.kinds.kind import Candidate, Kind
from embedrt_export.modules.cross_encoder import activation_name, build_pair_scorer
from embedrt_export.modules.graph_module import GraphModule
from embedrt_export.parity.comparison import BATCH_SIZES, Comparison, Vectors, batches_of, compare_runs
from embedrt_export.parity.correlation import pearson, spearman
from embedrt_export.parity.pairs import PARITY_PAIRS, pair_name
from torch import Tensor, nn

from embedrt.artifact.kinds import Reranking
from embedrt.artifact.manifest import Parity, Serving
from embedrt.errors import CheckpointError
from embedrt.inference.batching import Batch, padded_types
from embedrt.inference.session import LOGITS, SCORES, TOKEN_TYPE_IDS, GraphSession
from embedrt.text.tokenizer import TextTokenizer, TokenRows

__all__ = ["CROSS_ENCODER"]


def _serving(checkpoint: Checkpoint) -> Serving:
    labels = int(checkpoint.model.num_labels)
    activation = activation_name(checkpoint.model.activation_fn)
    return Serving(
        kind="cross-encoder",
        dimension=labels,
        reranking=Reranking(activation=activation, labels=_labels(checkpoint.transformer.config, labels)),
        **checkpoint.text_facts,
    )


def _labels(config: Any, count: int) -> tuple[str, ...]:
    """The checkpoint's own names; transformers makes up LABEL_0, LABEL_1 … where it has none."""
    named = getattr(config, "id2label", None) or {}
    names = tuple(str(named.get(number, "")) for number in range(count))
    made_up = tuple(f"LABEL_{number}" for number in range(count))
    return () if names == made_up or "" in names or len(named) != count else names


def _build(checkpoint: Checkpoint, token_embeddings: bool) -> GraphModule:
    if token_embeddings:
        raise CheckpointError("a cross-encoder gives scores and no token embeddings: leave out --token-embeddings")
    return build_pair_scorer(checkpoint)


def _reference(checkpoint: Checkpoint) -> Vectors:
    """What sentence-transformers gives for each pair alone and without a prompt: scores and logits, (pairs, 2 * labels).

    Zeros for a pair without any token.
    """
    pairs = [list(pair) for pair in PARITY_PAIRS]
    # not cut: what is cut off of two long texts would be kept in every combination
    present = [row for row, ids in enumerate(checkpoint.tokenizer(pairs, verbose=False)["input_ids"]) if ids]
    model, some = checkpoint.model, [pairs[row] for row in present]
    logits = model.predict(
        some, prompt="", batch_size=1, show_progress_bar=False, activation_fn=nn.Identity(), convert_to_tensor=True
    ).reshape(len(some), -1)
    found = np.zeros((len(pairs), 2 * logits.shape[1]), dtype=np.float32)
    found[present] = np.concatenate([_activated(model.activation_fn, logits).numpy(), logits.numpy()], axis=1)
    return found


def _activated(activation: Any, logits: Tensor) -> Tensor:
    """As sentence-transformers does it; its Softmax says nothing of an axis, which PyTorch warns of."""
    scores: Tensor = logits.softmax(dim=1) if isinstance(activation, nn.Softmax) else activation(logits)
    return scores


def _compare(candidate: Candidate, checkpoint: Checkpoint, reference: Any) -> Comparison:
    """Both outputs over the parity pairs in several batch sizes, neighbours of any length together; the worse one counts."""
    session = GraphSession(candidate.graph)
    tokenizer = TextTokenizer(candidate.tokenizer, max_seq_length=candidate.serving.max_seq_length)
    tokens = tokenizer.encode_pairs(PARITY_PAIRS, with_types=TOKEN_TYPE_IDS in session.inputs)
    runs = {size: _outputs(session, tokens, candidate.serving, size) for size in BATCH_SIZES}
    half = candidate.serving.dimension
    compared = [
        compare_runs(
            {size: found[:, columns] for size, found in runs.items()},
            dict.fromkeys(runs, reference[:, columns]),
            reference=reference_name(checkpoint.source),
            texts=tuple(map(pair_name, PARITY_PAIRS)),
        )
        for columns in (slice(None, half), slice(half, None))
    ]
    worse = max(compared, key=lambda one: float(np.nan_to_num(one.parity.max_abs_difference, nan=np.inf)))
    return dataclasses.replace(worse, parity=_described(worse.parity, runs[1][:, half:], reference[:, half:]))


def _described(parity: Parity, found: Vectors, expected: Vectors) -> Parity:
    """With correlations in place of cosines, which of one score are 1 or −1 and say nothing."""
    straight, order = pearson(found.T, expected.T), spearman(found.T, expected.T)  # each (labels,)
    return dataclasses.replace(
        parity,
        cosine_mean=float(straight.mean()),
        cosine_p01=float(np.percentile(straight, 1)),
        cosine_min=float(straight.min()),
        measures={"pearson": float(straight.min()), "spearman": float(order.min())},
    )


def _outputs(session: GraphSession, tokens: TokenRows, serving: Serving, size: int) -> Vectors:
    """Scores and logits of the pairs in their order, ``size`` a run, padded to the longest of the run: (pairs, 2 * labels)."""
    found = np.zeros((len(tokens), 2 * serving.dimension), dtype=np.float32)
    for rows, ids, mask in batches_of(tokens, serving, size):
        types = padded_types(tokens, Batch(rows=rows, length=ids.shape[1]), padding_side=serving.padding_side)
        found[rows] = np.concatenate(session.run(ids, mask, token_type_ids=types, outputs=(SCORES, LOGITS)), axis=1)
    return found


CROSS_ENCODER = Kind(name="cross-encoder", serving=_serving, build=_build, reference=_reference, compare=_compare)
