"""Whether encoders beside each other give the same. Asked before anything is timed: a time counts only then."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from embedrt_bench.engines.process import EngineError
from embedrt_bench.engines.right_vectors import cosines

__all__ = ["require_equal", "require_near"]

_NEAR = 0.98
"""Mean cosine that rounded variants show at least; texts in another order show 0.3."""

Arrays = Sequence[npt.NDArray[Any]] | npt.NDArray[Any]
"""An array a text: (dim,), or (tokens, dim)."""


def require_equal(name: str, found: Arrays, expected: Arrays, *, at_most: float) -> float:
    """The largest difference between two encoders' numbers.

    Raises:
        EngineError: shapes differ, a number is not finite, or they are further apart than ``at_most``.
    """
    ours, theirs = _rows(name, found, expected)
    difference = float(np.abs(ours - theirs).max())
    if not difference <= at_most:
        raise EngineError(name, f"differs by {difference:.1e}, at most {at_most:g} is expected: its times mean nothing")
    return difference


def require_near(name: str, found: Arrays, expected: Arrays) -> float:
    """The mean cosine of a rounded variant's vectors to the original's.

    Raises:
        EngineError: shapes differ, a number is not finite, or that mean is below 0.98.
    """
    ours, theirs = _rows(name, found, expected)
    mean = float(cosines(ours, theirs).mean())
    if not mean >= _NEAR:
        raise EngineError(
            name, f"has a mean cosine of {mean:.4f}, at least {_NEAR} is expected: its times mean nothing"
        )
    return mean


def _rows(name: str, found: Arrays, expected: Arrays) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    shapes = [[np.shape(one) for one in arrays] for arrays in (found, expected)]
    if shapes[0] != shapes[1]:
        at = next((at for at, (one, other) in enumerate(zip(*shapes)) if one != other), None)
        told = (
            f"{len(found)} arrays instead of {len(expected)}" if at is None else f"{shapes[0][at]}, not {shapes[1][at]}"
        )
        raise EngineError(name, f"its vectors have other shapes than the original's: {told}")
    ours, theirs = (np.concatenate([np.atleast_2d(one) for one in arrays]) for arrays in (found, expected))
    if not np.isfinite(ours).all():
        raise EngineError(name, "some of its numbers are not finite")
    return ours, theirs
