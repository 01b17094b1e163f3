"""The names of the ways to pool, as sentence-transformers has them; no PyTorch."""

from collections.abc import Sequence

from embedrt.errors import InputError

__all__ = ["OLD_FLAGS", "POOLING_MODES", "require_modes"]

POOLING_MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")

OLD_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""A flag a mode, in 1_Pooling/config.json before version 5.5; several were concatenated in this order."""


def require_modes(modes: Sequence[str]) -> None:
    """Refuse what the caller asks for and there is not.

    Raises:
        InputError: a mode is unknown.
    """
    if unknown := [mode for mode in modes if mode not in POOLING_MODES]:
        raise InputError(f"--pooling is {', '.join(unknown)}, expected some of {', '.join(POOLING_MODES)}")
