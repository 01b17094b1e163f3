"""Sizes: what an engine's model needs on a disk, and what its packages do."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["install_bytes", "sizes"]

_SCRIPT = Path(__file__).resolve().parents[1] / "engines" / "install_size.py"


def sizes(files: Sequence[Path], python: Path, distributions: Sequence[str]) -> dict[str, Any]:
    """Megabytes of an engine's model files, and of its installed packages (None where they cannot be counted)."""
    installed = install_bytes(python, distributions)
    return {
        "artifact_megabytes": sum(path.stat().st_size for path in files) / 1e6,
        "install_megabytes": None if installed is None else installed / 1e6,
    }


def install_bytes(python: Path, distributions: Sequence[str]) -> int | None:
    """Bytes of the distributions and of all that they require, in the environment of ``python``; None where one is missing."""
    done = subprocess.run(
        [str(python), "-P", str(_SCRIPT), *distributions], capture_output=True, text=True, check=False
    )  # fmt: skip
    return int(done.stdout) if done.returncode == 0 else None
