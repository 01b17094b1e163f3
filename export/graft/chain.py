"""What follows the transformer, as data: modules in their order with their weights."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Chain", "Dense", "LayerNorm", "Module", "Normalize", "Truncate"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dense:
    """activation(x W + b), and x, or x through a matrix of its own, added where it has a residual."""

    reads: str
    """File and key that say how wide the vectors are that it reads."""
    weight: Floats
    """(in, out)"""
    bias: Floats | None
    """(out,)"""
    activation: str
    """The name of a class in torch.nn."""
    slope: Floats | None = None
    """(1,) of a PReLU."""
    residual: bool = False
    shortcut: Floats | None = None
    """(in, out) for the residual; None: it is x itself."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerNorm:
    """Mean 0 and variance 1, then a scale and a shift."""

    reads: str
    """File and key that say how wide the vectors are that it reads."""
    weight: Floats
    """(dim,)"""
    bias: Floats
    """(dim,)"""


@dataclass(frozen=True, slots=True)
class Normalize:
    """Length 1."""


@dataclass(frozen=True, slots=True)
class Truncate:
    """The first components only."""

    width: int


Module = Dense | LayerNorm | Normalize | Truncate


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Modules on tokens, pooling, modules on vectors."""

    on_tokens: tuple[Dense | Normalize, ...] = ()
    pooling: tuple[str, ...]
    """Modes in the order of concatenation."""
    include_prompt: bool = True
    """False: the prompt's tokens are left out of pooling."""
    pooled_width: int | None = None
    """Width of the tokens that are pooled, where a file says so."""
    pooled_said_by: str = ""
    """File and key that say so."""
    finish: tuple[Module, ...] = ()

    @property
    def normalize(self) -> bool:
        """Whether vectors have length 1."""
        return bool(self.finish) and isinstance(self.finish[-1], Normalize)
