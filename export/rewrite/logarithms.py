"""Logarithms whose bits do not depend on where in a tensor a number stands.

ONNX Runtime computes ``Log`` of four numbers at a time, and what is left over at the end of a thread's share by another
routine, which differs in the last bit: a text's vector would depend on how many others are in its batch. The logarithm of a
sum over an axis of length 1, ``ReduceLogSum``, is computed number by number. (Measured with ONNX Runtime 1.32 over
34 × 30 522 numbers: 3.6 ms instead of 1.8; in double precision and back it would be 4.9.)
"""

import numpy as np
import onnx_ir
from embedrt_export.graphs.values import add_weight

__all__ = ["steady_logarithms"]


def steady_logarithms(model: onnx_ir.Model) -> int:
    """Replace every ``Log`` in place; gives how many there were."""
    found = [node for node in model.graph if node.op_type == "Log" and not node.domain]
    axes = add_weight(model.graph, "last_axis", np.array([-1])) if found else None
    for node in found:
        column = onnx_ir.node("Unsqueeze", [node.inputs[0], axes])
        logarithm = onnx_ir.node("ReduceLogSum", [column.outputs[0], axes], attributes={"keepdims": 0})
        old, new = node.outputs[0], logarithm.outputs[0]
        new.shape, new.type = old.shape, old.type
        if old.is_graph_output():
            old.name, new.name = f"{old.name}.log", old.name
        model.graph.insert_before(node, [column, logarithm])
        onnx_ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
        model.graph.remove(node, safe=True)
    return len(found)
