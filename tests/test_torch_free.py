"""Serving never loads PyTorch, nor anything else that only the exporter or the command line needs."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]
FORBIDDEN = [
    *("torch", "transformers", "sentence_transformers", "optimum", "onnxscript", "onnx", "onnx_ir"),
    *("typer", "rich", "tqdm", "huggingface_hub", "embedrt_export", "embedrt_bench"),
]

SERVE = """
import sys
{first}
import embedrt

with embedrt.SentenceEncoder(sys.argv[1], threads=2) as encoder:
    texts = [text + " cat" * index for index in range(10) for text in ("hello", "world", "my", "忘记密码怎么办？")]
    vectors = encoder.encode(texts, batch_size=1)
    assert vectors.shape == (40, 8), vectors.shape
    assert encoder.similarity(vectors, vectors).shape == (40, 40)
    encoder.encode_query("cat", precision="ubinary")

loaded = sorted(set(sys.argv[2].split(",")) & set(sys.modules))
assert not loaded, f"loaded: {{loaded}}"
print("light")
"""


@pytest.fixture
def serve(run_python: Run, tiny: Path) -> Callable[[str], CompletedProcess[str]]:
    """Encode in a fresh interpreter, ``first`` of all run a line more, and look at what was imported."""

    def in_a_fresh_interpreter(first: str) -> CompletedProcess[str]:
        return run_python(SERVE.format(first=first), tiny, ",".join(FORBIDDEN))

    return in_a_fresh_interpreter


def test_serving_imports_nothing_heavy(serve: Callable[[str], CompletedProcess[str]]) -> None:
    result = serve("")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "light\n"


@pytest.mark.parametrize("module", ["onnx", "rich"])
def test_the_check_can_fail(serve: Callable[[str], CompletedProcess[str]], module: str) -> None:
    result = serve(f"import {module}")
    assert result.returncode == 1
    assert f"AssertionError: loaded: ['{module}']" in result.stderr


def test_serving_works_where_nothing_heavy_is_installed(serve: Callable[[str], CompletedProcess[str]]) -> None:
    result = serve(
        f"for name in {FORBIDDEN}: sys.modules[name] = None\n"
        "sys.argv[2] = ''  # None in sys.modules: any import of it fails"
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "light\n"


@pytest.mark.parametrize("module", ["embedrt", "embedrt_export.quantization.fp16"])
def test_nobody_is_told_of_it(run_python: Run, tmp_path: Path, module: str) -> None:
    code = f"import os, {module}, onnxruntime; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = run_python(code, **home)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert not list(tmp_path.rglob("Microsoft"))
    assert run_python(code, **home, ORT_DISABLE_TELEMETRY="0").stdout == "0\n"


def test_whoever_asks_for_one_class_gets_no_others(run_python: Run) -> None:
    code = """
import sys
from embedrt import SentenceEncoder
others = ["cross_encoder", "scoring", "sparse_encoder", "sparse_encoding"]
others += ["multi_vector_encoder", "token_encoding", "hybrid_encoder"]
assert not [name for name in others if f"embedrt.{name}" in sys.modules]
import embedrt
assert set(embedrt.__all__) <= set(dir(embedrt))
for name in embedrt.__all__:
    assert name == "__version__" or getattr(embedrt, name).__module__.startswith("embedrt.")
assert embedrt.SentenceEncoder is SentenceEncoder
try:
    embedrt.Unheard
except AttributeError as error:
    print(error)
"""
    done = run_python(code)
    assert (done.returncode, done.stdout) == (0, "module 'embedrt' has no attribute 'Unheard'\n"), done.stderr
