"""A graph that is not faithful gives way to the next form of attention, and leaves nothing behind."""

from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import onnx_ir
import pytest
from embedrt_export import pipeline
from embedrt_export.packing import writing
from embedrt_export.tracing.trace import trace


@pytest.fixture
def _wrong_as_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    def sabotaged(module: Any, form: Any) -> onnx_ir.Model:
        model = trace(module, form)
        name = next(name for name in model.graph.initializers if "layer.1.output.dense.weight" in name)
        value = model.graph.initializers[name]
        if form == "operator" and value.const_value is not None:
            value.const_value = onnx_ir.tensor(value.const_value.numpy() * np.float32(1.01), name=name)
        return model

    monkeypatch.setattr(pipeline, "trace", sabotaged)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("_wrong_as_operator")
@pytest.mark.parametrize(
    ("limit", "graphs"),
    [(2**31 - 1, {"onnx/model.onnx"}), (1 << 26, {"onnx/model.onnx", "onnx/model.onnx_data"})],
    ids=["small", "large"],
)
def test_the_search_for_the_layer_leaves_no_graph_behind(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    limit: int,
    graphs: set[str],
) -> None:
    monkeypatch.setattr(writing, "_ONE_FILE_LIMIT", limit)
    manifest = embedrt_export.export(str(tiny_checkpoint), tmp_path / "out")
    assert manifest.variants["fp32"].attention == "eager"
    assert "the first layer that differs is encoder.layer.1" in capsys.readouterr().err
    assert {name for name in manifest.files if ".onnx" in name} == graphs
    assert files(tmp_path / "out") == {*manifest.files, "embedrt.json"}
