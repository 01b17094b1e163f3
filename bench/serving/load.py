"""Load on a server: wrk, which costs next to nothing, since it shares the processors with what it measures."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embedrt.errors import MissingDependencyError

__all__ = ["bodies_file", "load", "require_wrk"]

_SCRIPT = Path(__file__).with_name("post.lua")


def require_wrk() -> None:
    """Say how to get wrk where it is not.

    Raises:
        MissingDependencyError: it is not.
    """
    if shutil.which("wrk") is None:
        raise MissingDependencyError("wrk is not installed, which makes the load: type apt-get install wrk")


def bodies_file(path: Path, groups: Sequence[Sequence[str]], *, model: str, many: bool) -> Path:
    """Bodies of ``POST /v1/embeddings``, one a line: a group of texts each, as an array where ``many``."""
    lines = [json.dumps({"model": model, "input": list(group) if many else group[0]}) for group in groups]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def load(address: str, bodies: Path, *, clients: int, seconds: float, seed: int = 0) -> dict[str, Any]:
    """What ``clients``, each with one request at a time, see in so many seconds: counts, and latencies in seconds."""
    command = [
        "wrk", "--threads", "1", "--connections", str(clients), "--duration", f"{seconds:g}s", "--timeout", "30s",
        "--script", str(_SCRIPT), f"{address}/v1/embeddings", "--", str(bodies), str(seed),
    ]  # fmt: skip
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(shown.strip().splitlines()[-1])
    return found
