"""Whether the files that a process has loaded still lie in their places: ``embedrt export --overwrite`` swaps whole folders."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from embedrt.errors import IntegrityError

__all__ = ["FileState", "require_unchanged", "states_of"]

FileState = tuple[int, int, int, int]
"""Device, inode, bytes, and the time of the last change in nanoseconds."""


def states_of(paths: Iterable[Path]) -> dict[Path, FileState | None]:
    """What lies at ``paths`` now; None: nothing."""
    return {path: _state(path) for path in paths}


def require_unchanged(states: Mapping[Path, FileState | None]) -> None:
    """Refuse other files than those that :func:`states_of` found.

    Raises:
        IntegrityError: one was replaced, changed or taken away.
    """
    for path, state in states.items():
        if _state(path) != state:
            raise IntegrityError(f"{path} is not the file that was opened, the artifact was replaced: open it again")


def _state(path: Path) -> FileState | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
