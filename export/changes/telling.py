"""A checkpoint whose source tells what was made of it."""

import dataclasses
from typing import Any

from embedrt_export.checkpoint import Checkpoint

from embedrt.artifact.derivation import Derivation

__all__ = ["telling"]


def telling(checkpoint: Checkpoint, **made: Any) -> Checkpoint:
    """``checkpoint`` with fields of its :class:`~embedrt.artifact.derivation.Derivation` filled."""
    derivation = dataclasses.replace(checkpoint.source.derivation or Derivation(), **made)
    return dataclasses.replace(checkpoint, source=dataclasses.replace(checkpoint.source, derivation=derivation))
