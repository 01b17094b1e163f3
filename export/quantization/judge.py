"""What quantization asks of a kind of model: on which inputs it is calibrated, and how faithful a variant of it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedrt.artifact.manifest import Parity, Serving
from embedrt.text.tokenizer import TextTokenizer, TokenRows

__all__ = ["Judge", "Trial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A variant that is to be measured."""

    folder: Path
    """The artifact, whose float32 graph is what the variant is compared with."""
    graph: Path
    """The variant's graph, with a tokenizer.json beside it or one folder up."""
    reference: str
    """How the report names the float32 graph."""
    sts: Path | None = None
    """A folder of STS files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A kind of model, as the functions that its quantization consists of."""

    gate: float
    """The least that :attr:`require` lets pass where the user names nothing else."""
    tokens: Callable[[TextTokenizer, Serving, Sequence[str]], TokenRows]
    """Calibration texts as the graph reads them: each by itself, or some as pairs."""
    vectors: Callable[[Path, str | None, Sequence[str]], npt.NDArray[np.float32]]
    """What a model (folder or graph, and variant) gives for texts, (rows, width): rows with a large cosine are alike."""
    measure: Callable[[Trial], Parity]
    """The fidelity report of a variant."""
    require: Callable[[Parity, float, Sequence[str]], None]
    """Refuse what is below a gate; the last argument names the products with the largest errors."""
