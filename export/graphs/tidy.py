"""Tidying a graph with onnx-ir's own passes; used behind every stage that replaces nodes."""

import onnx_ir
from onnx_ir.passes import common

__all__ = ["drop_unused"]


def drop_unused(model: onnx_ir.Model) -> int:
    """Remove what no output needs, and compute equal things once."""
    before = len(model.graph)
    for tidy in (
        common.RemoveUnusedNodesPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
    ):
        tidy(model)
    return before - len(model.graph)
