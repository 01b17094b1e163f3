"""What callers may pass, checked in one sentence each: what came, what was expected."""

from collections.abc import Iterable, Mapping

import numpy as np

from embedrt.errors import InputError

__all__ = ["came", "how_to_list", "not_finite", "require_arrays", "require_positive", "require_whole"]


def came(value: object) -> str:
    """What came in place of something else: its type, and how it looks, in one line.

    >>> came(3)
    'int (3)'
    """
    return f"{type(value).__name__} ({' '.join(f'{value!r:.40}'.split())})"


def how_to_list(value: object) -> str:
    """How to make a list of ``value``, at the end of a sentence; empty where it holds nothing in order.

    >>> how_to_list(iter("ab")), how_to_list({"a": "b"})
    (': pass list(…) of it', '')
    """
    # of a table of pandas, a list has the names of its columns
    listable = isinstance(value, Iterable) and getattr(value, "ndim", 1) == 1
    return ": pass list(…) of it" if listable and not isinstance(value, str | bytes | bytearray | Mapping) else ""


def require_whole(name: str, number: object, *, optional: bool = True) -> None:
    """Refuse an argument that is no whole number, nor None where that may be.

    Raises:
        TypeError: it is not.
    """
    if (number is None and optional) or (isinstance(number, int | np.integer) and not isinstance(number, bool)):
        return
    expected = "a whole number or None" if optional else "a whole number"
    raise TypeError(f"{name} is a {type(number).__name__} ({number!r}), expected {expected}")


def require_positive(name: str, number: int | None, *, optional: bool = True) -> None:
    """Refuse an argument that is no whole number of at least 1, nor None where that may be.

    Raises:
        TypeError: it is no whole number.
        InputError: it is below 1.
    """
    require_whole(name, number, optional=optional)
    if number is not None and number < 1:
        raise InputError(f"{name} is {number}, expected at least 1")


def require_arrays(*, convert_to_numpy: bool, convert_to_tensor: bool = False) -> None:
    """Refuse to give anything else than numpy arrays, which sentence-transformers' switches ask for.

    Raises:
        InputError: they do.
    """
    if convert_to_tensor or not convert_to_numpy:
        raise InputError(
            "tensors were asked for (convert_to_tensor, or convert_to_numpy=False), and there is no PyTorch here: "
            "leave that out, and pass the arrays to torch.from_numpy"
        )


def not_finite(name: str, *, so: str) -> InputError:
    """The error for vectors, called ``name`` by who passes them, with NaN or infinity in them; ``so``: what that means here."""
    return InputError(
        f"{name} have NaN or infinity in them, {so}: leave out rows of which np.isfinite({name}).all(axis=1) is False"
    )
