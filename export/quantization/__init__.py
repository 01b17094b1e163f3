"""Quantization: variants of an artifact's float32 graph, without PyTorch.

The map: linears (what can be quantized), calibration (what activations look like), scheme (how each product is
quantized, by measured error), int8 and tables (the graph form), fp16, fidelity and sts (what it costs), job (all of it).
"""

from embedrt_export.quantization.job import PRECISIONS, Precision, Processor, quantize

__all__ = ["PRECISIONS", "Precision", "Processor", "quantize"]
