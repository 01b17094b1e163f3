"""A graph in memory, run by ONNX Runtime."""

import tempfile
from pathlib import Path
from typing import Any

import onnx_ir
import onnxruntime
from embedrt_export.packing.writing import save_graph

__all__ = ["loaded"]


def loaded(model: onnx_ir.Model, folder: Path | None) -> Any:
    """A session on the CPU; ``folder`` has room for a copy of ``model`` while it is loaded, None: the system's temporary one.

    It is loaded from a file, for no message holds weights above 2 GB, nor says which folder others lie in.
    """
    with tempfile.TemporaryDirectory(prefix=".loaded.", dir=folder) as place:
        graph = Path(place) / "model.onnx"
        save_graph(model, graph)
        return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
