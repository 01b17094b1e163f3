"""Every error that embedrt raises on purpose, in one tree.

    EmbedrtError
    ├── ArtifactError             what was loaded is not a usable artifact
    │   ├── ArtifactNotFoundError     no such folder, file or Hub repository
    │   ├── ManifestError             embedrt.json is missing a key, has a foreign one, or is of another version
    │   ├── IntegrityError            a file is truncated or is not the one that the manifest names
    │   ├── GraphError                the ONNX graph lacks the inputs or the output that an encoder needs
    │   └── KindError                 the model is of another kind than the class that is to load it
    ├── UnavailableError          something asked for is not on this machine
    │   ├── MissingDependencyError    a package of an extra is not installed
    │   └── ProviderError             an execution provider is not there, or did not take the graph
    ├── CheckpointError           the exporter cannot take this checkpoint
    ├── ParityError               a graph does not agree with the model that it came from
    ├── FidelityError             a quantized variant is less faithful than its gate asks
    ├── JobError                  a process of a large job ended, or what it made cannot be written
    └── InputError                an argument is of the right type and a wrong value
        └── BrokenTextError           a text is no Unicode text

A wrong *type* is Python's own ``TypeError``. A message says what happened, what came, what was expected and what to type.
"""

__all__ = [
    "ArtifactError",
    "ArtifactNotFoundError",
    "BrokenTextError",
    "CheckpointError",
    "EmbedrtError",
    "FidelityError",
    "GraphError",
    "InputError",
    "IntegrityError",
    "JobError",
    "KindError",
    "ManifestError",
    "MissingDependencyError",
    "ParityError",
    "ProviderError",
    "UnavailableError",
]


class EmbedrtError(Exception):
    """The root of the tree: catch it to catch everything that embedrt raises on purpose."""


class ArtifactError(EmbedrtError):
    """What was loaded is not a usable artifact."""


class ArtifactNotFoundError(ArtifactError):
    """There is no such folder, file or Hub repository."""


class ManifestError(ArtifactError):
    """The manifest does not follow the format that this version reads."""


class IntegrityError(ArtifactError):
    """A file is truncated or differs from the one that the manifest names."""


class GraphError(ArtifactError):
    """The ONNX graph lacks the inputs or the output that an encoder needs, or cannot be run."""


class KindError(ArtifactError):
    """The model is of another kind than the class that is to load it."""

    def __init__(self, message: str, *, kinds: tuple[str, ...] = ()) -> None:
        """``kinds``: what the model gives, where classes are named by which the command line names commands."""
        super().__init__(message)
        self.kinds = kinds


class UnavailableError(EmbedrtError):
    """Something that was asked for is not on this machine."""


class MissingDependencyError(UnavailableError, ImportError):
    """A package that belongs to an extra is not installed."""


class ProviderError(UnavailableError):
    """An execution provider is not there, or did not take the graph."""


class CheckpointError(EmbedrtError):
    """The exporter cannot take this checkpoint."""


class ParityError(EmbedrtError):
    """A graph does not agree with the model that it came from."""


class FidelityError(EmbedrtError):
    """A quantized variant is less faithful than its gate asks."""


class JobError(EmbedrtError):
    """A process of a large job ended before its work did."""


class InputError(EmbedrtError, ValueError):
    """An argument has the right type and a value that cannot be used."""


class BrokenTextError(InputError):
    """A text is no Unicode text. It knows its place, so that whoever cut a list into parts can name that in the whole list."""

    def __init__(self, name: str, index: int) -> None:
        """Item ``index`` of what callers call ``name``."""
        super().__init__(name, index)  # what pickle makes it of again
        self.name, self.index = name, index

    def __str__(self) -> str:
        """The message."""
        return (
            f"{self.name}[{self.index}] holds half of a surrogate pair, which is no character. "
            "Decode the text again with errors='replace'"
        )
