"""Prompts that a checkpoint does not carry: E5's and BGE's stand in their model cards alone."""

from collections.abc import Mapping

from embedrt_export.changes.telling import telling
from embedrt_export.checkpoint import Checkpoint

from embedrt.prompts import merged_prompts

__all__ = ["prompted"]


def prompted(checkpoint: Checkpoint, given: Mapping[str, str], default: str | None) -> Checkpoint:
    """``checkpoint``, its model changed in place, with ``given`` prompts beside its own and another ``default`` one, by name.

    Raises:
        TypeError: a prompt is no str.
        InputError: the default is none of the prompts.
    """
    model = checkpoint.model
    model.prompts, model.default_prompt_name = merged_prompts(
        model.prompts, model.default_prompt_name, given=given, default=default
    )
    return telling(checkpoint, prompts=dict(given), default_prompt=default)
