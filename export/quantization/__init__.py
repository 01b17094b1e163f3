"""Quantization: variants of an artifact's float32 graph, without PyTorch.

The map: linears (what can be quantized), calibration (what activations look like), scheme (the arithmetic and ranges of
one product), int8 and tables (the graph form), plan (a whole graph under one setting), search (which setting), fp16,
padding_lengths (attention for GPUs), fidelity and sts (what it costs), job (all of it).
"""

from embedrt_export.quantization.job import (
    PRECISIONS,
    PaddingForm,
    Precision,
    Processor,
    QuantizeOptions,
    quantize,
)

__all__ = ["PRECISIONS", "PaddingForm", "Precision", "Processor", "QuantizeOptions", "quantize"]
