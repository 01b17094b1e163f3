"""A reranker is served without PyTorch and without the exporter."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

CODE = """
import sys
{first}
import embedrt

with embedrt.CrossEncoder(sys.argv[1], threads=2) as reranker:
    assert len(reranker.rank("cat", ["hello world", "忘记密码怎么办？"] * 20, batch_size=1)) == 40
    reranker.predict([("a", "b")], activation_fn="identity")

heavy = {{"torch", "transformers", "sentence_transformers", "optimum", "onnx", "onnx_ir", "typer", "rich", "tqdm"}}
loaded = sorted((heavy | {{"embedrt_export", "embedrt_bench"}}) & set(sys.modules))
assert not loaded, f"loaded: {{loaded}}"
print("light")
"""


@pytest.mark.parametrize(("first", "ends_well"), [("", True), ("import onnx", False)])
def test_nothing_heavy_is_imported(
    run_python: Callable[..., CompletedProcess[str]], tiny_reranker: Path, first: str, ends_well: bool
) -> None:
    result = run_python(CODE.format(first=first), tiny_reranker)
    assert (result.stdout == "light\n") is ends_well, result.stderr
    assert ("AssertionError: loaded: ['onnx']" in result.stderr) is not ends_well
