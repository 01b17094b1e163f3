"""Weights in a file beside the graph, as those of models above 2 GB: the same variants to the bit."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir
import pytest
from embedrt_export.packing import writing
from embedrt_export.packing.writing import file_records, write_manifest
from embedrt_export.quantization import PRECISIONS, Precision, QuantizeOptions, quantize

from embedrt import SentenceEncoder
from embedrt.artifact.manifest import Manifest

GRAPHS: dict[Precision, str] = {
    "int8": "onnx/model_int8.onnx",
    "int8-static": "onnx/model_int8_static.onnx",
    "fp16": "onnx/model_fp16.onnx",
}
OPTIONS = QuantizeOptions(gate=0.9)
TEXTS = ["how do i reset my password?", "忘记密码怎么办？", ""]


@pytest.fixture
def beside(copied: Path) -> Path:
    """The artifact with all weights of some size in a file of their own."""
    graph = copied / "onnx/model.onnx"
    model = onnx_ir.load(graph)
    onnx_ir.save(model, graph, external_data="model.onnx_data", size_threshold_bytes=64)
    manifest = Manifest.from_json((copied / "embedrt.json").read_bytes())
    write_manifest(dataclasses.replace(manifest, files=file_records(copied)), copied)
    return copied


def locations(graph: Path) -> set[str]:
    tensors = onnx.load(graph, load_external_data=False).graph.initializer
    return {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}


@pytest.mark.usefixtures("one_setting")
@pytest.mark.parametrize("precision", PRECISIONS)
class TestWeightsOfTheirOwn:
    def test_the_variant_is_the_same_file(self, precision: Precision, beside: Path, quantized: Path) -> None:
        assert locations(beside / "onnx/model.onnx") == {"model.onnx_data"}
        quantize(beside, precision, options=OPTIONS, quiet=True)
        name = GRAPHS[precision]
        assert (beside / name).read_bytes() == (quantized / name).read_bytes()

    def test_large_variants_have_them_too(
        self, precision: Precision, beside: Path, quantized: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(writing, "_ONE_FILE_LIMIT", 1 << 26)
        manifest = quantize(beside, precision, options=OPTIONS, quiet=True)
        name = GRAPHS[precision]
        assert locations(beside / name) == {f"{Path(name).name}_data"}
        assert f"{name}_data" in manifest.files
        with (
            SentenceEncoder(beside, variant=precision) as large,
            SentenceEncoder(quantized, variant=precision) as small,
        ):
            np.testing.assert_array_equal(large.encode(TEXTS), small.encode(TEXTS))

    def test_nothing_else_lies_about(
        self, precision: Precision, beside: Path, hashes: Callable[[Path], dict[str, str]]
    ) -> None:
        before = set(hashes(beside))
        quantize(beside, precision, options=OPTIONS, quiet=True)
        assert set(hashes(beside)) - before == {GRAPHS[precision], "README.md"}
