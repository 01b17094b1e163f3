"""What the numbers of somebody else's graph are, and in which form it has attention."""

import onnx_ir

__all__ = ["FLOAT32", "attention_of", "precision_of"]

FLOAT32 = "fp32"
_EIGHT_BIT = frozenset(
    {
        *("QuantizeLinear", "DynamicQuantizeLinear", "DequantizeLinear", "MatMulInteger", "ConvInteger"),
        *("QLinearMatMul", "QLinearConv", "QGemm", "QAttention", "QEmbedLayerNormalization", "QLinearAdd"),
        *("MatMulIntegerToFloat", "DynamicQuantizeMatMul"),
    }
)
_FEW_BITS = frozenset({"MatMulNBits", "MatMulBnb4", "GatherBlockQuantized"})
_CONTRIB_ATTENTION = frozenset({"Attention", "QAttention", "MultiHeadAttention", "PackedAttention"})
_HALVES = {onnx_ir.DataType.FLOAT16: "fp16-foreign", onnx_ir.DataType.BFLOAT16: "bf16-foreign"}
_STANDARD = ("", "ai.onnx")


def precision_of(model: onnx_ir.Model) -> str:
    """``fp32``, or what somebody else made of it: ``int8-foreign``, ``int4-foreign``, ``fp16-foreign``, ``bf16-foreign``."""
    operators = {node.op_type for node in model.graph}
    if _FEW_BITS & operators:
        return "int4-foreign"
    if _EIGHT_BIT & operators:
        return "int8-foreign"
    kinds = {value.const_value.dtype for value in model.graph.initializers.values() if value.const_value is not None}
    return next((name for kind, name in _HALVES.items() if kind in kinds), FLOAT32)


def attention_of(model: onnx_ir.Model) -> str:
    """``operator`` for ONNX's Attention, ``contrib`` for one of ONNX Runtime's own operators, else ``eager``."""
    if any(node.op_type == "Attention" and node.domain in _STANDARD for node in model.graph):
        return "operator"
    contrib = any(node.op_type in _CONTRIB_ATTENTION and node.domain not in _STANDARD for node in model.graph)
    return "contrib" if contrib else "eager"
