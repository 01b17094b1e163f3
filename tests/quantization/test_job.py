"""Adding variants: whole or not at all, and the same bits in any company."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from embedrt_export.parity.distance import row_cosines
from embedrt_export.quantization import QuantizeOptions, job, plan, quantize, scheme, search
from embedrt_export.quantization.calibration import held_out_texts
from embedrt_export.quantization.rounding import Rounded, passing_errors_on
from embedrt_export.quantization.scheme import SETTINGS, Setting
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from embedrt import SentenceEncoder
from embedrt.artifact.manifest import Manifest
from embedrt.errors import IntegrityError

Hashes = Callable[[Path], dict[str, str]]
TEXTS = [*held_out_texts()[::8], "", "a", "how do i reset my password?", "word " * 100]


def manifest_of(folder: Path) -> Manifest:
    return Manifest.from_json((folder / "embedrt.json").read_bytes())


def test_artifact(quantized: Path) -> None:
    """Every file is named, with its hash and size, and nothing else lies about."""
    manifest = manifest_of(quantized)
    assert list(manifest.variants) == ["fp32", "int8", "int8-static", "fp16"]
    assert manifest.default_variant == "fp32"
    found = {path.relative_to(quantized).as_posix(): path for path in quantized.rglob("*") if path.is_file()}
    names = ("model", "model_fp16", "model_int8", "model_int8_static")
    expected = ["README.md", *(f"onnx/{name}.onnx" for name in names), "tokenizer.json"]
    assert sorted(found) == sorted([*expected, "embedrt.json"])
    assert list(manifest.files) == expected
    for name, record in manifest.files.items():
        assert record.bytes == found[name].stat().st_size
        assert record.sha256 == hashlib.sha256(found[name].read_bytes()).hexdigest()
    for name in manifest.variants:
        assert f"{name}" in found["README.md"].read_text(encoding="utf-8")


@pytest.mark.usefixtures("one_setting")
@pytest.mark.parametrize("precision", ["int8", "int8-static"])
def test_what_is_written_has_its_errors_passed_on(
    copied: Path, monkeypatch: pytest.MonkeyPatch, precision: Any
) -> None:
    """The graphs of the search have not, for that takes longer."""
    rounded: list[Rounded] = []

    def keep(*given: Any) -> Rounded:
        rounded.append(passing_errors_on(*given))
        return rounded[-1]

    monkeypatch.setattr(scheme, "passing_errors_on", keep)
    quantize(copied, precision, quiet=True)
    graph = onnx.load(copied / f"onnx/model_{precision.replace('-', '_')}.onnx").graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    products = [stored[node.input[1]] for node in graph.node if node.op_type == "MatMulIntegerToFloat"]
    assert len(rounded) == 6  # one for query, key and value together
    columns = {column.tobytes() for one in rounded for column in one.weight.T}
    assert {column.tobytes() for product in products for column in product.T} == columns


def test_facts(quantized: Path) -> None:
    variants = manifest_of(quantized).variants
    assert variants["fp16"].quantization is None
    for name, products in {
        "int8": {"static": 5, "row": 3, "float": 0},
        "int8-static": {"static": 8, "row": 0, "float": 0},
    }.items():
        facts = variants[name].quantization
        assert facts is not None
        assert (facts.calibration_texts, facts.smoothing, facts.percentile) == (240, 0.7, 100.0)
        assert (facts.weight_bits, facts.products, facts.kept_float, facts.tables) == (8, products, (), 1)
        assert 0.001 < facts.worst_layer_error < 0.1


def test_graph_and_tokenizer_alone_can_be_served(quantized: Path, tmp_path: Path) -> None:
    shutil.copy(quantized / "onnx/model_int8.onnx", tmp_path)
    shutil.copy(quantized / "tokenizer.json", tmp_path)
    with SentenceEncoder(tmp_path / "model_int8.onnx") as alone, SentenceEncoder(quantized, variant="int8") as whole:
        assert alone.max_seq_length == 24
        np.testing.assert_array_equal(alone.encode(TEXTS), whole.encode(TEXTS))


@pytest.fixture(scope="module", params=["int8", "int8-static"])
def served(request: pytest.FixtureRequest, quantized: Path) -> Any:
    """An encoder, and what it gives for each text by itself."""
    with SentenceEncoder(quantized, variant=request.param) as encoder:
        yield encoder, np.stack([encoder.encode(text) for text in TEXTS])


@settings(max_examples=40, deadline=None)
@given(chosen=st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=30), size=st.none() | st.integers(1, 11))
def test_company_changes_no_bit(
    served: tuple[SentenceEncoder, npt.NDArray[np.float32]], chosen: list[int], size: int | None
) -> None:
    encoder, alone = served
    vectors = encoder.encode([TEXTS[index] for index in chosen], batch_size=size)
    np.testing.assert_array_equal(vectors, alone[chosen])


def test_the_pool_has_different_texts(served: tuple[SentenceEncoder, npt.NDArray[np.float32]]) -> None:
    assert len(np.unique(served[1], axis=0)) == len(TEXTS)


@pytest.mark.parametrize("stands_out", [0.1, 99])
def test_search_takes_the_best_setting(copied: Path, monkeypatch: pytest.MonkeyPatch, stands_out: float) -> None:
    """Clipping half of the activations cannot win: neither by its vectors, nor by driving products into float."""
    monkeypatch.setattr(plan, "_STANDS_OUT", stands_out)
    monkeypatch.setattr(search, "SETTINGS", (Setting(0.7, 75.0), Setting(0.7, 100.0), Setting(0.0, 80.0)))
    facts = quantize(copied, "int8-static", quiet=True).variants["int8-static"].quantization
    assert facts is not None
    assert (facts.smoothing, facts.percentile) == (0.7, 100.0)
    assert facts.kept_float == ()


def test_search_tries_every_setting(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cosines: list[float] = []
    measured = row_cosines

    def watch(*vectors: npt.NDArray[np.float32]) -> Any:
        found = measured(*vectors)
        cosines.append(float(found.mean()))
        return found

    monkeypatch.setattr(search, "row_cosines", watch)
    facts = quantize(copied, "int8", quiet=True).variants["int8"].quantization
    assert facts is not None
    assert len(cosines) == len(SETTINGS)
    assert SETTINGS[int(np.argmax(cosines))] == Setting(facts.smoothing, facts.percentile)


@pytest.mark.usefixtures("one_setting")
class TestChanges:
    def test_default(self, copied: Path) -> None:
        quantize(copied, "int8", make_default=True, quiet=True)
        with SentenceEncoder(copied) as loaded, SentenceEncoder(copied, variant="fp32") as exact:
            assert (loaded.variant, exact.variant) == ("int8", "fp32")
            assert not np.array_equal(loaded.encode(TEXTS), exact.encode(TEXTS))
        quantize(copied, "fp16", quiet=True)
        assert manifest_of(copied).default_variant == "int8"  # a later variant leaves it alone

    def test_repeating_replaces(self, copied: Path) -> None:
        quantize(copied, "fp16", quiet=True)
        quantize(copied, "int8", quiet=True)
        before = manifest_of(copied)
        quantize(copied, "int8", options=QuantizeOptions(processor="avx2"), quiet=True)
        after = manifest_of(copied)
        assert list(after.variants) == list(before.variants)
        assert set(after.files) == set(before.files)
        assert after.files["onnx/model_int8.onnx"] != before.files["onnx/model_int8.onnx"]
        assert after.files["onnx/model_fp16.onnx"] == before.files["onnx/model_fp16.onnx"]
        facts = after.variants["int8"].quantization
        assert facts is not None
        assert facts.weight_bits == 7
        with SentenceEncoder(copied, variant="int8") as encoder:  # its hash fits
            assert np.isfinite(encoder.encode(TEXTS)).all()

    def test_repeating_gives_the_same_bytes(self, copied: Path, quantized: Path) -> None:
        quantize(copied, "int8", quiet=True)
        assert (copied / "onnx/model_int8.onnx").read_bytes() == (quantized / "onnx/model_int8.onnx").read_bytes()

    def test_calibration_file_is_used(self, copied: Path, tmp_path: Path) -> None:
        (tmp_path / "texts.txt").write_text("\n".join(f"the cat number {index}" for index in range(30)))
        options = QuantizeOptions(calibration=tmp_path / "texts.txt", allow_below_gate=True)
        facts = quantize(copied, "int8-static", options=options, quiet=True).variants["int8-static"].quantization
        assert facts is not None
        assert facts.calibration_texts == 30

    def test_no_bar_where_stderr_is_no_terminal(self, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
        quantize(copied, "int8")
        told = capsys.readouterr().err
        assert "  calibrate   … " in told
        assert "\r" not in told

    def test_a_damaged_variant_is_not_blessed(self, copied: Path) -> None:
        """Its hash stays that of the whole file when another variant is added."""
        quantize(copied, "fp16", quiet=True)
        path = copied / "onnx/model_fp16.onnx"
        path.write_bytes(path.read_bytes()[:-100])
        quantize(copied, "int8", quiet=True)
        with pytest.raises(IntegrityError, match=r"model_fp16\.onnx has \d+ bytes"):
            SentenceEncoder(copied, variant="fp16")

    @pytest.mark.parametrize("there_before", [False, True])
    @pytest.mark.parametrize(
        "stage", ["write_graph", "model_card", "write_manifest", "file_records", "_fidelity", "search_setting"]
    )
    def test_failure_leaves_everything(
        self, copied: Path, hashes: Hashes, monkeypatch: pytest.MonkeyPatch, stage: str, there_before: bool
    ) -> None:
        if there_before:
            quantize(copied, "int8", options=QuantizeOptions(processor="avx2"), quiet=True)
        before = hashes(copied)

        def fail(*_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(job, stage, fail)
        with pytest.raises(OSError, match="No space left"):
            quantize(copied, "int8", quiet=True)
        assert hashes(copied) == before

    def test_failing_search_leaves_everything(
        self, copied: Path, hashes: Hashes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = hashes(copied)

        def interrupt(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(search, "row_cosines", interrupt)
        with pytest.raises(KeyboardInterrupt):
            quantize(copied, "int8", quiet=True)
        assert hashes(copied) == before

    def test_product_that_stands_out_stays_in_float(
        self, write_transformer: Callable[..., Path], tmp_path: Path
    ) -> None:
        """A normalization's output sums to 0 here, so that a constant in its weights changes nothing but their range."""

        def spoil(weights: dict[str, npt.NDArray[Any]]) -> None:
            weights["norm1.weight"][:], weights["norm1.bias"][:] = 1, 0
            weights["up"] += np.float32(100)

        folder = write_transformer(tmp_path / "spoiled", change=spoil)
        for precision, path in {"int8": "model_int8", "int8-static": "model_int8_static"}.items():
            variant = quantize(folder, precision, quiet=True).variants[precision]  # type: ignore[arg-type]
            assert variant.quantization is not None
            assert variant.quantization.kept_float == ("up",)
            assert variant.quantization.products["float"] == 1
            assert variant.quantization.worst_layer_error < 0.1
            assert variant.parity.cosine_mean > 0.995
            nodes = onnx.load(folder / f"onnx/{path}.onnx").graph.node
            assert [node.input[1] for node in nodes if node.op_type == "MatMul"][:1] == ["up"]
            assert len([node for node in nodes if node.op_type == "MatMulIntegerToFloat"]) == 7
