"""Serving over HTTP loads no PyTorch, nor anything else that only the exporter, the command line or traces need."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FORBIDDEN = [
    *("torch", "transformers", "sentence_transformers", "optimum", "onnxscript", "onnx", "onnx_ir"),
    *("typer", "rich", "tqdm", "pydantic", "starlette", "opentelemetry", "embedrt_export", "embedrt_bench"),
]
SERVE = """
import sys, urllib.request
{first}
from embedrt.server import ModelSource, Server, ServerSettings

with Server(ServerSettings(models=(ModelSource(name="a", location=sys.argv[1]),), port=0, log_level="error")) as server:
    for path, body in (
        ("/v1/embeddings", b'{{"model": "a", "input": ["hello", "a cat"]}}'), ("/embed", b'{{"inputs": "cat"}}'),
        ("/tokenize", b'{{"inputs": "cat"}}'), ("/health", None), ("/metrics", None), ("/", None), ("/openapi.json", None),
    ):
        assert urllib.request.urlopen(server.address + path, body).status == 200
loaded = sorted(set(sys.argv[2].split(",")) & set(sys.modules))
assert not loaded, f"loaded: {{loaded}}"
print("light")
"""


def test_serving_imports_nothing_heavy(run_python: Callable[..., Any], tiny: Path) -> None:
    result = run_python(SERVE.format(first=""), tiny, ",".join(FORBIDDEN))
    assert (result.returncode, result.stdout) == (0, "light\n"), result.stderr


@pytest.mark.parametrize("module", ["onnx", "starlette"])
def test_the_check_can_fail(run_python: Callable[..., Any], tiny: Path, module: str) -> None:
    result = run_python(SERVE.format(first=f"import {module}"), tiny, ",".join(FORBIDDEN))
    assert result.returncode == 1
    assert f"AssertionError: loaded: ['{module}']" in result.stderr


def test_serving_works_where_nothing_heavy_is_installed(run_python: Callable[..., Any], tiny: Path) -> None:
    first = f"for name in {FORBIDDEN}: sys.modules[name] = None\nsys.argv[2] = ''  # any import of them fails"
    result = run_python(SERVE.format(first=first), tiny, ",".join(FORBIDDEN))
    assert (result.returncode, result.stdout) == (0, "light\n"), result.stderr
