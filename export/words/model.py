"""A model of whole words as data: what its graph is made of, and what its numbers are compared with."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from embedrt_export.graft.chain import Dense, LayerNorm, Module, Normalize

__all__ = [
    "BagOfWords",
    "Convolutions",
    "Kernel",
    "Lstm",
    "LstmLayer",
    "TokenModule",
    "Whitening",
    "WordModel",
    "WordWeights",
]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WordWeights:
    """Each word's vector is multiplied by a number of its own, and means divide by the sum of these numbers."""

    weights: Floats
    """(words,)"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LstmLayer:
    """One layer, with ONNX's order of gates: input, output, forget, cell."""

    inputs: Floats
    """(directions, 4 * hidden, in)"""
    recurrent: Floats
    """(directions, 4 * hidden, hidden)"""
    biases: Floats
    """(directions, 8 * hidden): of the inputs, then of the recurrence."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lstm:
    """Layers one behind another; what both directions give stands side by side."""

    layers: tuple[LstmLayer, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kernel:
    """One convolution over the words; it gives a vector for each of them."""

    weight: Floats
    """(out, in, words)"""
    bias: Floats
    """(out,)"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Convolutions:
    """Convolutions side by side."""

    kernels: tuple[Kernel, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Whitening:
    """(x − μ) W of a text's vector, of which the first components are read where it is wider."""

    mean: Floats
    """(in,)"""
    matrix: Floats
    """(in, out)"""


TokenModule = WordWeights | Lstm | Convolutions | Dense | Normalize


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WordModel:
    """A table of vectors, modules on the words' vectors, pooling, modules on the text's vector."""

    table: Floats
    """(words, dim)"""
    on_tokens: tuple[TokenModule, ...] = ()
    pooling: tuple[str, ...] = ("mean",)
    """Modes in the order of concatenation; none is ``cls``, which sentence-transformers cannot do for words."""
    finish: tuple[Module | Whitening, ...] = ()

    @property
    def answers_nothing(self) -> bool:
        """Whether a text without known words might get something else than zeros from these modules."""
        shifts = any(isinstance(module, Dense | LayerNorm | Whitening) for module in self.finish)
        return shifts or "max" in self.pooling


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BagOfWords:
    """A component for each word of the vocabulary: how often a text has it, times the word's weight."""

    weights: Floats
    """(words,)"""
    counts: bool
    """False: it counts for once, however often a text has it."""
    finish: tuple[Module | Whitening, ...] = ()

    @property
    def answers_nothing(self) -> bool:
        """As :attr:`WordModel.answers_nothing`."""
        return any(isinstance(module, Dense | LayerNorm | Whitening) for module in self.finish)
