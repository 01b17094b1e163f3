"""The variants of a real model: how faithful, how large, and the same bits in any company."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from embedrt_bench.scenarios.sts import spearman
from embedrt_bench.texts.data import data_folder, sts_benchmark, sts_texts, sts_year
from embedrt_export.quantization import Precision, QuantizeOptions, quantize
from embedrt_export.quantization.calibration import held_out_texts
from hypothesis import given, settings
from hypothesis import strategies as st

from embedrt import SentenceEncoder
from embedrt.artifact.manifest import Manifest

needs_sts = pytest.mark.skipif(data_folder() is None, reason="the STS files are not here: set EMBEDRT_DATA")
FILES = {"int8": "onnx/model_int8.onnx", "int8-static": "onnx/model_int8_static.onnx"}


def manifest_of(folder: Path) -> Manifest:
    return Manifest.from_json((folder / "embedrt.json").read_bytes())


def real_texts() -> list[str]:
    """300 sentences of the STS files, or all held-out ones."""
    folder = data_folder()
    return held_out_texts() if folder is None else sts_texts(folder)[::60][:300]


def cosines(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    first, second = a.astype(np.float64), b.astype(np.float64)
    found: npt.NDArray[np.float64] = (first * second).sum(axis=1)
    found /= np.sqrt(np.square(first).sum(axis=1) * np.square(second).sum(axis=1))
    return found


@pytest.mark.parametrize(("precision", "mean"), [("int8", 0.998), ("int8-static", 0.995), ("fp16", 0.9999)])
def test_held_out_texts(quantized: Path, encoder: SentenceEncoder, precision: str, mean: float) -> None:
    texts = held_out_texts()
    with SentenceEncoder(quantized, variant=precision) as variant:
        found = cosines(variant.encode(texts), encoder.encode(texts))
    assert mean <= found.mean() < 1
    parity = manifest_of(quantized).variants[precision].parity
    assert (parity.cosine_mean, parity.cosine_min) == pytest.approx((found.mean(), found.min()), abs=1e-9)
    # stable: the vocabulary has no Thai, so Thai texts of as many words have one vector
    assert list(parity.worst_texts) == [texts[index] for index in np.argsort(found, kind="stable")[:3]]


def test_sizes(quantized: Path) -> None:
    files = manifest_of(quantized).files
    for path in FILES.values():
        assert files[path].bytes == (quantized / path).stat().st_size <= 24_000_000
    assert 45_000_000 < files["onnx/model_fp16.onnx"].bytes < 46_000_000
    assert files["onnx/model.onnx"].bytes > 90_000_000


@pytest.mark.parametrize(("precision", "static", "row"), [("int8", 24, 12), ("int8-static", 36, 0)])
def test_form(quantized: Path, precision: str, static: int, row: int) -> None:
    graph = onnx.load(quantized / FILES[precision]).graph
    operators = [node.op_type for node in graph.node]
    assert operators.count("MatMulIntegerToFloat") == 36
    assert operators.count("QuantizeLinear") == 24  # query, key and value share one
    assert operators.count("MatMul") == 1  # mean pooling
    assert (operators.count("Attention"), operators.count("SkipLayerNormalization")) == (6, 0)
    facts = manifest_of(quantized).variants[precision].quantization
    assert facts is not None
    assert facts.products == {"static": static, "row": row, "float": 0}
    assert facts.tables == 2  # words and positions


@pytest.fixture(scope="module", params=list(FILES))
def served(request: pytest.FixtureRequest, quantized: Path) -> Iterator[tuple[SentenceEncoder, Any]]:
    """An encoder, and what it gives for each real text by itself."""
    with SentenceEncoder(quantized, variant=request.param) as variant:
        yield variant, np.stack([variant.encode(text) for text in real_texts()])


def test_company_changes_no_bit(served: tuple[SentenceEncoder, Any]) -> None:
    variant, alone = served
    texts = real_texts()
    np.testing.assert_array_equal(variant.encode(texts), alone)
    np.testing.assert_array_equal(variant.encode(texts[::-1], batch_size=32)[::-1], alone)
    order = np.random.default_rng(0).permutation(len(texts))
    np.testing.assert_array_equal(variant.encode([texts[index] for index in order], batch_size=7), alone[order])


@settings(max_examples=15, deadline=None)
@given(chosen=st.lists(st.integers(0, 239), min_size=1, max_size=24), size=st.none() | st.integers(1, 9))
def test_no_batch_changes_a_bit(served: tuple[SentenceEncoder, Any], chosen: list[int], size: int | None) -> None:
    variant, alone = served
    texts = real_texts()
    vectors = variant.encode([texts[index] for index in chosen], batch_size=size)
    np.testing.assert_array_equal(vectors, alone[chosen])


def test_long_texts_in_half(quantized: Path, encoder: SentenceEncoder) -> None:
    """256 tokens each, among them the same one all over."""
    texts = ["reset the password " * 200, "word " * 500, "忘记密码怎么办" * 60, " ".join(held_out_texts()[:40])]
    with SentenceEncoder(quantized, variant="fp16") as half:
        found = half.encode(texts)
    assert np.isfinite(found).all()
    assert cosines(found, encoder.encode(texts)).min() > 0.9999
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


@needs_sts
@pytest.mark.parametrize(("precision", "mean", "least"), [("int8", 0.9985, 0.985), ("int8-static", 0.997, 0.975)])
def test_sts_texts(quantized: Path, encoder: SentenceEncoder, precision: str, mean: float, least: float) -> None:
    folder = data_folder()
    assert folder is not None
    texts = sts_texts(folder)[::10]
    assert len(texts) > 1900
    with SentenceEncoder(quantized, variant=precision) as variant:
        found = cosines(variant.encode(texts), encoder.encode(texts))
    assert found.mean() >= mean
    assert found.min() >= least


@pytest.mark.slow
@needs_sts
@pytest.mark.parametrize(("precision", "change"), [("int8", -0.05), ("int8-static", -0.10)])
def test_sts_scores(
    minilm: Path, encoder: SentenceEncoder, tmp_path: Path, precision: Precision, change: float
) -> None:
    """With the whole search, over STS12 to 14 and the benchmark's test set."""
    folder = data_folder()
    assert folder is not None
    copy = shutil.copytree(minilm, tmp_path / "copy")
    quantize(copy, precision, options=QuantizeOptions(gate=0.995), quiet=True)
    sets = [*(sts_year(folder, year) for year in (2012, 2013, 2014)), sts_benchmark(folder)]
    with SentenceEncoder(copy, variant=precision) as variant:
        changes = [spearman(variant.encode, pairs) - spearman(encoder.encode, pairs) for pairs in sets]
    assert np.mean(changes) >= change
    assert max(abs(value) for value in changes) < 1


def test_inspect_lists_them(quantized: Path, run_python: Callable[..., Any]) -> None:
    done = run_python("from embedrt.cli import main; main()", "inspect", quantized, COLUMNS="200")
    assert done.returncode == 0, done.stderr
    for name, variant in manifest_of(quantized).variants.items():
        [line] = [line for line in done.stdout.splitlines() if f" {variant.file} " in line]
        assert f" {name} " in line
        assert f"{variant.parity.cosine_mean:.6f}" in line
