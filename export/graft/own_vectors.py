"""What is left to do behind vectors that a graph gives itself, where it gives no token vectors to compare them with.

How such a graph pooled cannot be seen. How wide its vectors are and how long can be: a graph of other modules is refused, and
what the folder asks for last and the graph has not done is put behind it: length 1, and the cut, which no module makes.
"""

import dataclasses

import numpy as np
import numpy.typing as npt
from embedrt_export.graft.chain import Chain, Module, Normalize, Truncate
from embedrt_export.graft.widths import vector_width

from embedrt.errors import CheckpointError
from embedrt.inference.session import SENTENCE_EMBEDDING

__all__ = ["have_unit_length", "left_to_do"]

_TOLERANCE = 1e-4


def left_to_do(chain: Chain, vectors: npt.NDArray[np.float32], graph: str) -> tuple[Module, ...]:
    """The last modules of ``chain`` that ``vectors``, (texts, dim), which ``graph`` gives, have not been through.

    Raises:
        CheckpointError: they are not as wide as what the chain gives.
    """
    given = vectors.shape[1]
    modules = tuple(module for module in chain.finish if not isinstance(module, Truncate))
    cuts = tuple(module for module in chain.finish if isinstance(module, Truncate))
    whole = dataclasses.replace(chain, on_tokens=(), finish=modules)
    width = vector_width(whole, chain.pooled_width or given, graph)
    if given != width and any(given == cut.width for cut in cuts):
        return ()
    if given != width:
        raise CheckpointError(
            f"{graph} gives {SENTENCE_EMBEDDING} of {given} numbers, but the modules of its folder end in {width}: "
            "choose another graph with --graph, or with PyTorch, type: embedrt export MODEL OUT"
        )
    last = (Normalize(),) if whole.normalize and not have_unit_length(vectors) else ()
    return (*last, *(cut for cut in cuts if cut.width < width))


def have_unit_length(vectors: npt.NDArray[np.float32]) -> bool:
    """Whether all of ``vectors``, (texts, dim), have length 1."""
    return bool(np.allclose(np.linalg.norm(vectors, axis=1), 1, rtol=0, atol=_TOLERANCE))
