"""What the pipeline asks of a kind of model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.modules.graph_module import GraphModule
from embedrt_export.packing.side_files import write_side_files
from embedrt_export.parity.comparison import Comparison
from embedrt_export.source.diagnosis import first_line
from embedrt_export.source.soundness import tokens_without_vectors

from embedrt.artifact.hub_files import SETTINGS_FILE
from embedrt.artifact.manifest import Serving
from embedrt.errors import CheckpointError, EmbedrtError

__all__ = ["Candidate", "Kind"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A written graph that is to be compared."""

    graph: Path
    tokenizer: Path
    serving: Serving


def _no_files(_checkpoint: Checkpoint, _folder: Path) -> None:
    """Nothing beyond what every artifact has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of model, as the functions that its export consists of."""

    name: str
    """As ``--kind`` takes it."""
    serving: Callable[[Checkpoint], Serving]
    """What the manifest tells a runtime."""
    build: Callable[[Checkpoint, bool], GraphModule | onnx_ir.Model]
    """Everything that the checkpoint does after its tokenizer, as a module to be traced, or as a graph; True: with token vectors
    as a further output."""
    reference: Callable[[Checkpoint], Any]
    """What the original library gives for the parity inputs."""
    compare: Callable[[Candidate, Checkpoint, Any], Comparison]
    """The graph, run over the parity inputs in several batch sizes, against that reference."""
    side_files: Callable[[Checkpoint, Path], None] = write_side_files
    """Writes the tokenizer, and the configuration that other runtimes look for."""
    files: Callable[[Checkpoint, Path], None] = _no_files
    """Writes what else the runtime reads beside graph and tokenizer."""

    def original(self, checkpoint: Checkpoint) -> Any:
        """What :attr:`reference` gives.

        Raises:
            CheckpointError: the original library fails itself.
        """
        try:
            return self.reference(checkpoint)
        except EmbedrtError:
            raise
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            transformer = checkpoint.transformer
            named = type(checkpoint.model[0] if transformer is None else transformer).__name__
            advice = f"try its encode in Python, with the versions that {SETTINGS_FILE} names"
            raise CheckpointError(
                f"sentence-transformers itself cannot encode with this checkpoint, a {named} ({type(error).__name__}: "
                f"{first_line(error)}): {tokens_without_vectors(checkpoint) or advice}"
            ) from error
