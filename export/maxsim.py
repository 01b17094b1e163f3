"""MaxSim in the graph: token vectors against those of one query, so that only the maxima leave it.

    query_maxima[b, q] = max over scored tokens t of document b of token_embeddings[b, t] · query_embeddings[q]

Their sum over the query is MaxSim. It is left to the host: a sum over an axis does not promise the same bits in every batch,
a maximum does.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx_ir
from embedrt_export.graphs.values import add_weight
from embedrt_export.parity.comparison import TOLERANCE
from embedrt_export.parity.texts import PARITY_TEXTS

from embedrt.artifact.manifest import Serving
from embedrt.errors import CheckpointError, InputError, ParityError
from embedrt.inference.session import QUERY_EMBEDDINGS, QUERY_MAXIMA, SCORING_MASK, TOKEN_EMBEDDINGS
from embedrt.multi_vector_encoder import MultiVectorEncoder

__all__ = ["append_maxsim", "require_same_ranking", "scoring_in_graph"]

_UNSCORED = 1e30
"""Taken from products with tokens that do not count: more than any product, and finite, so that nothing becomes NaN."""


def append_maxsim(model: onnx_ir.Model, *, dimension: int) -> None:
    """Give ``model`` the inputs ``query_embeddings`` and ``scoring_mask`` and the output ``query_maxima``, in place.

    Raises:
        CheckpointError: it gives no token vectors.
    """
    graph = model.graph
    tokens = next((value for value in graph.outputs if value.name == TOKEN_EMBEDDINGS), None)
    if tokens is None:
        raise CheckpointError("MaxSim compares token vectors, and the graph gives none: leave out --maxsim")
    floats, integers = onnx_ir.TensorType(onnx_ir.DataType.FLOAT), onnx_ir.TensorType(onnx_ir.DataType.INT64)
    query = onnx_ir.Value(name=QUERY_EMBEDDINGS, shape=onnx_ir.Shape(["query_tokens", dimension]), type=floats)
    scored = onnx_ir.Value(name=SCORING_MASK, shape=onnx_ir.Shape(["batch", "sequence"]), type=integers)
    graph.inputs.extend([query, scored])
    numbers = {"one": np.float32(1), "unscored": np.float32(_UNSCORED), "last": np.array([2]), "middle": np.array([1])}
    one, large, last, middle = (add_weight(graph, f"maxsim.{name}", np.asarray(it)) for name, it in numbers.items())
    columns = _node(graph, "Transpose", [query], [onnx_ir.AttrInt64s("perm", [1, 0])])  # (dim, query)
    products = _node(graph, "MatMul", [tokens, columns])  # (batch, sequence, query)
    mask = _node(graph, "Cast", [scored], [onnx_ir.AttrInt64("to", int(onnx_ir.DataType.FLOAT))])
    away = _node(graph, "Mul", [_node(graph, "Sub", [one, mask]), large])  # (batch, sequence)
    kept = _node(graph, "Sub", [products, _node(graph, "Unsqueeze", [away, last])])
    best = _node(graph, "ReduceMax", [kept, middle], [onnx_ir.AttrInt64("keepdims", 0)])  # (batch, query)
    best.name, best.type, best.shape = QUERY_MAXIMA, floats, onnx_ir.Shape(["batch", "query_tokens"])
    graph.outputs.append(best)


def scoring_in_graph(serving: Serving) -> Serving:
    """``serving`` of a graph that :func:`append_maxsim` extends.

    Raises:
        InputError: the model gives no vector a token, or further kinds beside it.
    """
    if serving.kinds != ("multi-vector",) or serving.multi_vector is None:
        raise InputError(f"--maxsim is for multi-vector models, and this is a {serving.kind} one: leave it out")
    section = dataclasses.replace(serving.multi_vector, scores_in_graph=True)
    return dataclasses.replace(serving, multi_vector=section)


def require_same_ranking(folder: Path) -> None:
    """Compare the graph's MaxSim of the parity texts, for some as queries, with numpy's over the same token vectors.

    Raises:
        ParityError: a score differs by more than rounding.
    """
    documents = list(PARITY_TEXTS)
    with MultiVectorEncoder(folder) as encoder:
        stored = encoder.encode_document(documents)
        for query in PARITY_TEXTS[6:10]:
            expected = encoder.similarity(encoder.encode_query(query), stored)[0]
            ranked = sorted(encoder.rank(query, documents), key=lambda entry: int(entry["corpus_id"]))
            difference = np.abs(np.array([entry["score"] for entry in ranked]) - expected)  # (documents,)
            allowed = TOLERANCE * np.maximum(1, np.abs(expected))
            if not bool((difference <= allowed).all()):
                raise ParityError(
                    f"MaxSim in the graph differs from numpy's by {float(difference.max()):.1e}, "
                    f"expected at most {TOLERANCE:.0e} of the score: export without --maxsim"
                )


def _node(
    graph: onnx_ir.Graph, operator: str, inputs: list[onnx_ir.Value], attributes: Sequence[onnx_ir.Attr] = ()
) -> onnx_ir.Value:
    node = onnx_ir.Node("", operator, inputs, attributes=attributes)
    graph.append(node)
    return node.outputs[0]
