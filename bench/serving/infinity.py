"""infinity-emb, the nearest neighbor among servers, on the checkpoint that our artifact was exported from.

``python -m embedrt_bench.serving.infinity`` makes its environment under ``.cache/peers``.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

from embedrt_bench.engines.peers import build, python_of, why_missing
from embedrt_bench.models.minilm import checkpoint_folder
from embedrt_bench.serving import scenarios
from embedrt_bench.serving.process import started

__all__ = ["main", "measure_infinity"]

ENVIRONMENT = "infinity"


def measure_infinity(single: Path, many: Path, *, port: int, model: str, seconds: float) -> dict[str, Any]:
    """The throughput scenarios on its PyTorch engine; why not, where it cannot be run."""
    missing = why_missing(ENVIRONMENT)
    if missing is not None:
        return {"not_measured": missing}
    python = python_of(ENVIRONMENT)
    command = [
        str(python.with_name("infinity_emb")), "v2", "--model-id", str(checkpoint_folder()), "--served-model-name", model,
        "--engine", "torch", "--device", "cpu", "--dtype", "float32", "--no-bettertransformer", "--url-prefix", "/v1",
        "--port", str(port), "--log-level", "error",
    ]  # fmt: skip
    with started(command, port=port, health="/health") as server:
        return {
            "engine": "torch float32",
            "version": _version(python),
            "single": scenarios.throughput(server, single, clients=64, texts=1, seconds=seconds),
            "many": scenarios.throughput(server, many, clients=8, texts=32, seconds=seconds),
        }


def _version(python: Path) -> str:
    code = "import importlib.metadata as m; print(m.version('infinity-emb'))"
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Make the environment where it is not there."""
    if why_missing(ENVIRONMENT) is not None:
        try:
            build(ENVIRONMENT)
        except subprocess.CalledProcessError:
            sys.exit("infinity-emb could not be installed, the reason stands above; it is left out of the measurement")


if __name__ == "__main__":
    main()
