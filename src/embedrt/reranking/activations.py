"""From a cross-encoder's logits to scores, in numpy: what a caller asks for in place of the checkpoint's own activation."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedrt.errors import InputError
from embedrt.inference.session import LOGITS, SCORES

__all__ = ["ACTIVATIONS", "Activated", "Activation", "activated", "finished", "softmax"]

Scores = npt.NDArray[np.float32]
Activation = str | Callable[[Scores], Scores]
"""By name, or a function from logits (n, labels) to scores of the same shape, or (n,)."""


def sigmoid(logits: Scores) -> Scores:
    """1 / (1 + e^−x) of each logit, any shape.

    >>> sigmoid(np.array([0.0, 1000.0, -1000.0], np.float32))
    array([0.5, 1. , 0. ], dtype=float32)
    """
    return np.exp(-np.logaddexp(np.float32(0), -logits))


def softmax(logits: Scores) -> Scores:
    """Shares of 1 along the last axis.

    >>> softmax(np.array([[0.0, 0.0, 0.0, 0.0]], np.float32))
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True, initial=-np.inf))
    shares: Scores = raised / raised.sum(axis=-1, keepdims=True)
    return shares


ACTIVATIONS: dict[str, Callable[[Scores], Scores]] = {
    "identity": lambda logits: logits,
    "sigmoid": sigmoid,
    "softmax": softmax,
    "tanh": np.tanh,
    "relu": lambda logits: np.maximum(logits, np.float32(0)),
}
"""By PyTorch's names."""


@dataclass(frozen=True, slots=True)
class Activated:
    """How scores come to be."""

    output: str
    """The graph's output to take."""
    finish: Callable[[Scores], Scores] | None = None
    """What is done with it; None: nothing."""


def activated(asked: Activation | None, *, own: str) -> Activated:
    """What to do for an activation that a caller asks for; ``own`` is the one that is in the graph.

    What is PyTorch's, ``torch.nn.Sigmoid()`` or ``torch.sigmoid``, counts as its name: it takes no arrays.

    Raises:
        InputError: there is none of that name.
    """
    asked = _name_in_torch(asked) or asked
    if asked is None or asked == own:
        return Activated(SCORES)
    if not isinstance(asked, str):
        return Activated(LOGITS, asked)
    if asked not in ACTIVATIONS:
        raise InputError(
            f"activation_fn is {asked!r}, expected one of {', '.join(ACTIVATIONS)}, a function of the logits, or None for "
            f"the checkpoint's own ({own})"
        )
    return Activated(LOGITS, None if asked == "identity" else ACTIVATIONS[asked])


def _name_in_torch(asked: object) -> str | None:
    """The name of one of PyTorch's functions, or of a module's class, in lower case; None for anything else."""
    named = asked if hasattr(asked, "__name__") else type(asked)
    return named.__name__.lower() if str(named.__module__).partition(".")[0] == "torch" else None


def finished(logits: Scores, wanted: Activated, *, apply_softmax: bool) -> Scores:
    """What is asked for of ``logits`` (n, labels), or of scores: (n, labels), or (n,) where there is one a pair.

    Raises:
        InputError: a caller's function does not give a row a pair.
    """
    scores = logits if wanted.finish is None else np.asarray(wanted.finish(logits), dtype=np.float32)
    if scores.ndim not in (1, 2) or len(scores) != len(logits):
        raise InputError(
            f"activation_fn made scores of the shape {scores.shape} of logits of the shape {logits.shape}, "
            f"expected a row a pair"
        )
    if scores.ndim == 2 and logits.shape[1] == scores.shape[1] == 1:
        scores = scores[:, 0]
    return softmax(scores) if apply_softmax and scores.ndim == 2 else scores
