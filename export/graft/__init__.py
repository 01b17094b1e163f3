"""Grafting: a transformer-only ONNX graph, finished with the modules that its folder names, without PyTorch.

The map: candidates (which graph), precision (what its numbers are), modules and weights (what the folder says of the
modules, as a chain), settings (length, prompts, padding), original (the graph as it came), inputs and outputs (what a
graph takes and gives), own_vectors (what is left to do where it gives no token vectors), append with activations (the
chain as nodes, by writer), arithmetic (the chain in numpy), check (one against the other), side_files, job (all of it).
"""

from embedrt_export.graft.job import GraftOptions, graft

__all__ = ["GraftOptions", "graft"]
