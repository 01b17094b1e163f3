"""Weights in a file of their own: they are found from the folder of the graph that was loaded, which no message names."""

import onnx_ir

__all__ = ["take_in"]


def take_in(model: onnx_ir.Model) -> None:
    """Make them weights of ``model`` itself, where its messages will hold them.

    They are not copied, nor is their file closed: others may read it too.
    """
    for graph in model.graphs():
        for value in graph.initializers.values():
            if isinstance(tensor := value.const_value, onnx_ir.ExternalTensor):
                value.const_value = onnx_ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=value.name)
