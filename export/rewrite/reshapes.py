"""Reshapes that lead back to where they started."""

import onnx_ir

__all__ = ["merge_reshapes"]


def merge_reshapes(model: onnx_ir.Model) -> int:
    """Two reshapes in a row are the second; one to the shape that its input has already is none.

    The second case is what splitting attention heads and merging them again comes to.
    """
    count = 0
    for node in list(model.graph):
        if node.op_type != "Reshape" or node.inputs[0] is None:
            continue
        first = node.inputs[0].producer()
        if first is not None and first.op_type == "Reshape":
            node.replace_input_with(0, first.inputs[0])
            count += 1
        source, target = node.inputs[0], node.outputs[0]
        if (
            source is not None
            and source.shape is not None
            and source.shape == target.shape
            and not target.is_graph_output()
        ):
            onnx_ir.convenience.replace_all_uses_with(target, source)
            count += 1
    return count
