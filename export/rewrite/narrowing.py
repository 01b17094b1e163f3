"""One row a text in the last layer, where pooling keeps one token.

Pooling by ``cls`` and by ``lasttoken`` is a product of one-hot rows with the last hidden states:

    (batch, 1, sequence) @ (batch, sequence, hidden) → (batch, 1, hidden)

and the heads of classifiers, which cross-encoders are, look up the first token:

    (batch, sequence, hidden)[:, 0] → (batch, hidden)

Whatever treats each token by itself may as well follow that product as precede it, and attention reads a query row by
itself too. So product or lookup moves up until something reads the other tokens, as the last layer's keys and values do: its
queries, output projection, feed-forward and normalizations are left with one row a text. One-hot products are exact, since
1 · x + 0 · y is x. A text without any token would get another vector than before; every text has its special tokens. The
mask of pooled tokens may be empty, where a prompt fills the whole text: graphs that take one stay as they are.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir
from embedrt_export.graphs.values import add_weight, constant, is_whole_number, only_value, produced_by

__all__ = ["narrow_last_layer"]

_MASK = "attention_mask"
_ELEMENTWISE = frozenset(
    ["Add", "Div", "Erf", "Gelu", "Mul", "Neg", "Pow", "Reciprocal", "Relu", "Sigmoid", "Sqrt", "Sub", "Tanh"]
)
_ALONG_AN_AXIS = {"LayerNormalization": -1, "RMSNormalization": -1, "Split": 0}
"""Which axis they work along if they do not say."""
_FURTHER_ATTENTION_INPUTS = slice(4, None)  # keys and values of former runs

Use = tuple[onnx_ir.Node, int]


def narrow_last_layer(model: onnx_ir.Model) -> int:
    """Move one-token pooling up in place; gives how many nodes work on one row a text since then."""
    count = 0
    for node in list(model.graph):
        at = _place_of_tokens(node)
        plan = _plan(model.graph, node, at) if at is not None else None
        if plan is not None and plan.narrowed:
            _apply(model.graph, node, plan)
            count += len(plan.narrowed)
    return count


def _place_of_tokens(node: onnx_ir.Node) -> int | None:
    """Which input of a one-token pooling is the hidden states; None: the node is no such pooling."""
    return 1 if _is_one_token_pooling(node) else 0 if _is_first_token(node) else None


def _is_first_token(node: onnx_ir.Node) -> bool:
    """``hidden[:, 0]``, hidden being float (batch, sequence, hidden)."""
    if node.op_type != "Gather" or node.domain or node.attributes.get_int("axis", 0) != 1:
        return False
    hidden, index = node.inputs
    place = constant(index)
    if place is None or place.ndim != 0 or place.item() != 0 or node.outputs[0].is_graph_output():
        return False
    return hidden is not None and hidden.shape is not None and len(hidden.shape) == 3


def _is_one_token_pooling(node: onnx_ir.Node) -> bool:
    """``selection[:, None, :] @ hidden``; the tracer writes no other product of two computed tensors with such a left side."""
    if node.op_type != "MatMul" or node.outputs[0].is_graph_output():
        return False
    selection, hidden = node.inputs
    return hidden is not None and hidden.shape is not None and len(hidden.shape) == 3 and _is_one_hot(selection)


def _is_one_hot(selection: onnx_ir.Value | None) -> bool:
    """The traced form of pooling's ``cls`` and ``lasttoken``: 1 at one token, (batch, 1, sequence)."""
    row = produced_by(selection, "Unsqueeze")  # (batch, sequence)
    both = produced_by(row.inputs[0], "Cast") if row is not None and is_whole_number(row.inputs[1], 1) else None
    both = produced_by(both.inputs[0], "And") if both is not None else None
    if both is None:
        return False
    counted, pooled = (produced_by(value, "Equal") for value in both.inputs)
    if counted is None or pooled is None or not is_whole_number(pooled.inputs[1], 1):
        return False
    mask = pooled.inputs[0]
    return mask is not None and mask.is_graph_input() and mask.name == _MASK and _counts_to_one_token(counted, mask)


def _counts_to_one_token(comparison: onnx_ir.Node, mask: onnx_ir.Value) -> bool:
    """Tokens counted from the left, and compared with 1 or with how many there are."""
    count, wanted = produced_by(comparison.inputs[0], "CumSum"), comparison.inputs[1]
    if count is None or count.inputs[0] is not mask or not is_whole_number(count.inputs[1], 1):
        return False
    if count.attributes.get_int("reverse", 0) or count.attributes.get_int("exclusive", 0):
        return False
    total = produced_by(wanted, "ReduceSum")
    return is_whole_number(wanted, 1) or (total is not None and total.inputs[0] is mask)


@dataclass(frozen=True, slots=True)
class _Plan:
    narrowed: list[onnx_ir.Node]
    """Nodes that will work on one row a text."""
    rows: list[Use]
    """Where they, and pooling, read rows."""


def _plan(graph: onnx_ir.Graph, pooling: onnx_ir.Node, at: int) -> _Plan:
    """Backwards from ``pooling``'s input ``at``: every node that treats rows by themselves, and whose rows nothing else reads."""
    hidden = only_value(pooling.inputs[at])
    plan = _Plan([], [(pooling, at)])
    wanted: set[Use] = set(plan.rows)
    for node in reversed(graph):
        uses = {(use.node, use.idx) for output in node.outputs for use in output.uses()}
        given = any(output.is_graph_output() for output in node.outputs)
        rows = _row_inputs(node, hidden) if uses and uses <= wanted and not given else None
        if rows is not None:
            plan.narrowed.append(node)
            plan.rows.extend((node, index) for index in rows)
            wanted.update((node, index) for index in rows)
    return plan


def _row_inputs(node: onnx_ir.Node, hidden: onnx_ir.Value) -> list[int] | None:
    """Which inputs of ``node`` are rows of tokens, each treated by itself; None where that is not so."""
    if node.domain or not node.outputs or not _is_rows(node.outputs[0], hidden):
        return None
    if node.op_type == "Attention":
        return [0] if _takes_any_queries(node) else None
    rows = [index for index, value in enumerate(node.inputs) if value is not None and _is_rows(value, hidden)]
    rest = [value for index, value in enumerate(node.inputs) if value is not None and index not in rows]
    return rows if _treats_rows_alone(node, rows, rest) else None


def _treats_rows_alone(node: onnx_ir.Node, rows: list[int], rest: list[onnx_ir.Value]) -> bool:
    if node.op_type in _ELEMENTWISE:
        return all(_is_same_for_all_rows(value) for value in rest)
    if rows != [0]:
        return False
    if node.op_type == "MatMul":
        matrix = constant(node.inputs[1])
        return matrix is not None and matrix.ndim == 2
    if node.op_type == "ReduceMean":
        return True  # over the width: what comes out has rows still
    along = _ALONG_AN_AXIS.get(node.op_type)
    return (
        along is not None
        and node.attributes.get_int("axis", along) in {-1, 2}
        and all(_is_same_for_all_rows(value) for value in rest)
    )


def _is_rows(value: onnx_ir.Value, hidden: onnx_ir.Value) -> bool:
    """(batch, sequence, anything)."""
    if value.shape is None or hidden.shape is None or len(value.shape) != 3:
        return False
    return value.shape[0] == hidden.shape[0] and value.shape[1] == hidden.shape[1]


def _is_same_for_all_rows(value: onnx_ir.Value) -> bool:
    """A number, or one for each place of a row."""
    array = constant(value)
    return array is not None and all(length == 1 for length in array.shape[:-1])


def _takes_any_queries(attention: onnx_ir.Node) -> bool:
    """No rule of its own about which query sees which key, and one mask row for all queries of a text."""
    if attention.attributes.get_int("is_causal", 0) or any(attention.inputs[_FURTHER_ATTENTION_INPUTS]):
        return False
    mask = attention.inputs[3] if len(attention.inputs) > 3 else None
    return not any(output.uses() for output in attention.outputs[1:]) and (mask is None or _mask_row(mask) is not None)


def _mask_row(mask: onnx_ir.Value) -> onnx_ir.Value | None:
    """(batch, 1, 1, key), of which ``mask`` (batch, 1, query, key) repeats the rows."""
    repeated = produced_by(mask, "Expand")
    row = repeated.inputs[0] if repeated is not None else None
    if row is None or row.shape is None or mask.shape is None or len(row.shape) != 4:
        return None
    same = all(row.shape[axis] == mask.shape[axis] for axis in (0, 1, 3))
    return row if same and row.shape[2] == 1 else None


def _apply(graph: onnx_ir.Graph, pooling: onnx_ir.Node, plan: _Plan) -> None:
    product = pooling.op_type == "MatMul"
    if product:
        onnx_ir.convenience.replace_all_uses_with(pooling.outputs[0], only_value(pooling.inputs[1]))
    _read_one_row(graph, pooling, plan)
    for node in plan.narrowed:
        if node.op_type == "Attention" and len(node.inputs) > 3 and node.inputs[3] is not None:
            node.replace_input_with(3, _mask_row(node.inputs[3]))
        for output in node.outputs:
            _set_one_row(output, output)
    if product:  # a lookup stays: of the one row that there is now
        graph.remove(pooling, safe=True)
    graph.sort()  # the selection is computed before the last layer now


def _read_one_row(graph: onnx_ir.Graph, pooling: onnx_ir.Node, plan: _Plan) -> None:
    """Where the narrowed nodes read rows of all tokens, they read the pooled one."""
    selected: dict[onnx_ir.Value, onnx_ir.Value] = {}
    for node, index in plan.rows:
        source = only_value(node.inputs[index])
        if node is pooling or source.producer() in plan.narrowed:
            continue
        if source not in selected:
            one = pooling.op_type == "MatMul"
            selected[source] = _select(graph, pooling.inputs[0], source) if one else _first(graph, source)
        node.replace_input_with(index, selected[source])


def _select(graph: onnx_ir.Graph, selection: onnx_ir.Value | None, source: onnx_ir.Value) -> onnx_ir.Value:
    """One row a text of ``source`` (batch, sequence, width): (batch, 1, width)."""
    return _one_row(graph, onnx_ir.node("MatMul", [selection, source]), source)


def _first(graph: onnx_ir.Graph, source: onnx_ir.Value) -> onnx_ir.Value:
    """The first row a text of ``source`` (batch, sequence, width): (batch, 1, width)."""
    zero = add_weight(graph, f"{source.name}.first", np.zeros(1, dtype=np.int64))
    return _one_row(graph, onnx_ir.node("Gather", [source, zero], attributes={"axis": 1}), source)


def _one_row(graph: onnx_ir.Graph, node: onnx_ir.Node, source: onnx_ir.Value) -> onnx_ir.Value:
    graph.append(node)
    _set_one_row(node.outputs[0], source)
    node.outputs[0].type = source.type
    return node.outputs[0]


def _set_one_row(value: onnx_ir.Value, source: onnx_ir.Value) -> None:
    if source.shape is not None:
        value.shape = onnx_ir.Shape([source.shape[0], 1, *source.shape[2:]])
