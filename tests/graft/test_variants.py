"""What comes after a graft: int8 and fp16 of the grafted graph, and the proof that none of it loads PyTorch."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from embedrt_export.graft import graft
from embedrt_export.quantization import Precision, QuantizeOptions, quantize, search
from embedrt_export.quantization.scheme import Setting
from sentence_transformers.base.modules import Dense, Normalize

from embedrt import SentenceEncoder
from embedrt.errors import InputError

Folder = Callable[..., Path]
WIDTH = 32
GRAPH = "onnx/model.onnx"
TEXTS = ["how do i reset my password ?", "the cat sleeps on the roof .", "忘记密码怎么办", "a cat", "the roof " * 9]

GRAFT = """
import sys
import embedrt_export.graft
from embedrt import SentenceEncoder

embedrt_export.graft.graft(sys.argv[1], sys.argv[2], quiet=True)
assert SentenceEncoder(sys.argv[2]).encode(["a cat"]).shape == (1, 12)
heavy = {"torch", "transformers", "sentence_transformers", "optimum", "onnxscript", "scipy"} & set(sys.modules)
assert not heavy, f"loaded: {heavy}"
print("light")
"""


@pytest.fixture
def dense_folder(build_folder: Folder) -> Path:
    return build_folder("mean", [Dense(WIDTH, 12), Normalize()])


def test_no_pytorch(
    dense_folder: Path, tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = run_python(GRAFT, dense_folder, tmp_path / "out")
    assert (done.returncode, done.stdout) == (0, "light\n"), done.stderr


@pytest.mark.parametrize("precision", ["int8", "int8-static", "fp16"])
def test_quantize_takes_a_grafted_graph(
    dense_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Precision
) -> None:
    monkeypatch.setattr(search, "SETTINGS", (Setting(0.7, 100.0),))
    graft(dense_folder, tmp_path / "out", quiet=True)
    manifest = quantize(tmp_path / "out", precision, options=QuantizeOptions(gate=0.98), quiet=True)
    variant = manifest.variants[precision]
    if variant.quantization is not None:  # 2 layers of 6 products; Dense works on one row a text and stays in float
        assert sum(variant.quantization.products.values()) == 12
    assert "its modules in numpy" in variant.parity.reference
    _assert_close(tmp_path / "out", precision, 0.98)


def _assert_close(out: Path, variant: str, least: float) -> None:
    exact = SentenceEncoder(out, variant="fp32").encode(TEXTS)
    found = SentenceEncoder(out, variant=variant).encode(TEXTS)
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(found, axis=1)
    assert ((exact * found).sum(axis=1) / lengths).min() > least
    assert np.abs(exact - found).max() > 1e-6


@pytest.mark.parametrize("opset", [13, 17, 18])
def test_quantize_takes_old_opsets(
    dense_folder: Path, handmade: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opset: int
) -> None:
    """And graphs whose exporter wrote no shapes of what is between."""
    monkeypatch.setattr(search, "SETTINGS", (Setting(0.7, 100.0),))
    handmade(dense_folder / GRAPH, opset=opset)
    assert not onnx.load(dense_folder / GRAPH).graph.value_info
    graft(dense_folder, tmp_path / "out", quiet=True)
    facts = (
        quantize(tmp_path / "out", "int8", options=QuantizeOptions(gate=0.98), quiet=True).variants["int8"].quantization
    )
    assert facts is not None
    assert facts.products == {"static": 0, "row": 1, "float": 0}
    _assert_close(tmp_path / "out", "int8", 0.98)


@pytest.mark.parametrize("name", ["sequence_length", ""], ids=["optimum", "unnamed"])
def test_fp16_whatever_the_sequence_is_called(
    dense_folder: Path, handmade: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    model = onnx.load(handmade(dense_folder / GRAPH))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[1].dim_param = name
    onnx.save(model, dense_folder / GRAPH)
    graft(dense_folder, tmp_path / "out", quiet=True)
    quantize(tmp_path / "out", "fp16", quiet=True)
    weights = onnx.load(tmp_path / "out/onnx/model_fp16.onnx").graph.initializer
    halves = {weight.name for weight in weights if weight.data_type == onnx.TensorProto.FLOAT16}
    assert halves == {"words", "types", "inner", "shift"}


def test_older_ones_are_refused(dense_folder: Path, handmade: Callable[..., Path], tmp_path: Path) -> None:
    handmade(dense_folder / GRAPH, opset=12)
    graft(dense_folder, tmp_path / "out", quiet=True)
    with pytest.raises(InputError, match=r"model\.onnx is of opset 12, int8 needs 13"):
        quantize(tmp_path / "out", "int8", quiet=True)
