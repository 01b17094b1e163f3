"""Saturation of u8 × s8 on processors without VNNI: the claim, weights that fit, sums that stay exact, and weights of 7 bits."""

import hashlib
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from embedrt_export.quantization import QuantizeOptions, quantize, search
from embedrt_export.quantization.rounding import to_nearest
from embedrt_export.quantization.scheme import Setting
from onnx import numpy_helper

from embedrt import SentenceEncoder, opening
from embedrt.artifact.graphfile import graph_metadata
from embedrt.errors import UnavailableError
from embedrt.inference import byte_sums, session
from embedrt.inference.byte_sums import SUMS_FIT, sums_of_bytes
from embedrt.inference.session import GraphSession, runtime_version

Int8 = npt.NDArray[np.int8]


def vpmaddubsw(unsigned: npt.NDArray[np.uint8], signed: Int8) -> npt.NDArray[np.int16]:
    """Multiply unsigned by signed bytes, and add neighbours with signed saturation in 16 bits (Intel's description)."""
    products = unsigned.astype(np.int32) * signed.astype(np.int32)
    sums = products[..., 0::2] + products[..., 1::2]
    result: npt.NDArray[np.int16] = np.clip(sums, -32768, 32767).astype(np.int16)
    return result


def test_the_instruction() -> None:
    found = vpmaddubsw(
        np.array([255, 255, 255, 255, 1, 2], dtype=np.uint8), np.array([127, 127, -128, -128, 3, -4], np.int8)
    )
    assert found.tolist() == [32767, -32768, -5]
    assert 255 * 127 * 2 == 64770 > 32767


def pairs_of(limit: int) -> tuple[npt.NDArray[np.uint8], Int8]:
    """All pairs of these activations, and of all weights at most ``limit``."""
    activations = [0, 1, 128, 254, 255]
    left = np.array(list(itertools.product(activations, repeat=2)), dtype=np.uint8)
    right = np.array(list(itertools.product(range(-limit, limit + 1), repeat=2)), dtype=np.int8)
    return left[:, None], right[None]


def saturated(limit: int) -> float:
    """The share of pairs that the instruction gets wrong."""
    left, right = pairs_of(limit)
    exact = (left.astype(np.int32) * right.astype(np.int32)).sum(axis=-1)
    return float((vpmaddubsw(left, right)[..., 0] != exact).mean())


def test_eight_bits_saturate_and_seven_never_do() -> None:
    """Sums are monotone in each operand: extremes decide, and around them every pair is tried."""
    assert saturated(63) == 0
    assert saturated(64) == 0  # 255 * 64 * 2 is 32640: one more would still fit
    assert saturated(65) > 0
    assert saturated(127) > 0.05


def test_a_product_of_seven_bits_is_exact_by_that_instruction() -> None:
    random = np.random.default_rng(0)
    left = random.integers(200, 256, (16, 64)).astype(np.uint8)
    for limit, exact in ((63, True), (127, False)):
        right = random.integers(limit // 2, limit + 1, (64, 8)).astype(np.int8)
        found = vpmaddubsw(left[:, None, :], right.T[None]).astype(np.int32).sum(axis=-1)
        assert np.array_equal(found, left.astype(np.int32) @ right.astype(np.int32)) is exact


def product_of_ids(folder: Path, weight: Int8, *, fits: bool) -> Path:
    """A graph that multiplies the token ids, as bytes, by ``weight``, and may say that the sums fit."""
    text = """<ir_version: 10, opset_import: ["" : 23, "com.microsoft" : 1]>
        g (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask) => (float[batch, N] sentence_embedding)
        <float one = {1}, uint8 zero = {0}> {
            largest = Cast<to = 2>(input_ids)
            sentence_embedding = com.microsoft.MatMulIntegerToFloat(largest, weight, one, one, zero)
        }"""
    proto = onnx.parser.parse_model(text.replace("N]", f"{weight.shape[1]}]"))
    proto.graph.initializer.append(numpy_helper.from_array(weight, "weight"))
    if fits:
        onnx.helper.set_model_props(proto, {SUMS_FIT: "1"})
    onnx.save(proto, folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.skipif(
    sums_of_bytes(runtime_version()).endswith("cannot turn to u8"),
    reason="this ONNX Runtime cannot make them exact here",
)
def test_eight_bits_are_summed_exactly_on_every_processor(tmp_path: Path) -> None:
    """Fails on x86 without VNNI (and only there) if ONNX Runtime is not told to keep the sums exact."""
    weight = np.full((64, 8), 127, dtype=np.int8)
    weight[:, 1] = -127
    ids = np.full((3, 64), 255, dtype=np.int64)
    [found] = GraphSession(product_of_ids(tmp_path, weight, fits=False)).run(ids, np.ones_like(ids))
    np.testing.assert_array_equal(found, np.tile(255 * 64 * np.array([127, -127, *[127] * 6]), (3, 1)))


@pytest.fixture(scope="module")
def seven_bits(transformer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """int8 with weights of 8 bits, and int8-static with 7."""
    folder = shutil.copytree(transformer, tmp_path_factory.mktemp("artifacts") / "seven")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "SETTINGS", (Setting(0.7, 100.0),))
        quantize(folder, "int8", quiet=True)
        quantize(folder, "int8-static", options=QuantizeOptions(processor="avx2"), quiet=True)
    return folder


def product_weights(path: Path) -> list[Int8]:
    graph = onnx.load(path).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return [stored[node.input[1]] for node in graph.node if node.op_type == "MatMulIntegerToFloat"]


def test_weights_for_avx2(seven_bits: Path) -> None:
    variants = json.loads((seven_bits / "embedrt.json").read_text(encoding="utf-8"))["variants"]
    for name, path, bits in (("int8", "model_int8", 8), ("int8-static", "model_int8_static", 7)):
        weights = product_weights(seven_bits / f"onnx/{path}.onnx")
        assert len(weights) == 8
        assert {int(np.abs(weight.astype(int)).max()) for weight in weights} == {2 ** (bits - 1) - 1}
        assert variants[name]["quantization"]["weight_bits"] == bits
        assert variants[name]["parity"]["cosine_mean"] > 0.995


@pytest.mark.parametrize("variant", ["int8", "int8-static"])
def test_weights_of_every_variant_fit_into_sums_of_16_bits(quantized: Path, variant: str) -> None:
    path = quantized / f"onnx/model_{variant.replace('-', '_')}.onnx"
    assert graph_metadata(path)[SUMS_FIT]
    weights = product_weights(path)
    assert len(weights) == 8
    worst: Any = np.array([[0, 255], [255, 0], [255, 255]], dtype=np.uint8)  # sums are monotone in each activation
    for weight in weights:
        for activations in np.tile(worst, len(weight) // 2):
            left = np.broadcast_to(activations[: len(weight)], weight.T.shape)
            exact = left[:, 0::2].astype(int) * weight.T[:, 0::2] + left[:, 1::2].astype(int) * weight.T[:, 1::2]
            np.testing.assert_array_equal(vpmaddubsw(left, weight.T), exact)


@pytest.mark.parametrize("columns", [1, 16, 40])
@pytest.mark.parametrize("inputs", [2, 5, 24, 64, 130])
def test_weights_that_fit_are_summed_exactly_as_they_are(tmp_path: Path, inputs: int, columns: int) -> None:
    """Fails on x86 without VNNI (and only there) if ONNX Runtime's kernels add other rows than 0 and 1, 2 and 3, … in 16 bits."""
    random = np.random.default_rng(inputs)
    weight = to_nearest(random.normal(size=(inputs, columns)).astype(np.float32), 127).weight
    path = product_of_ids(tmp_path, weight, fits=True)
    for rows in (1, 2, 5, 16, 33):
        ids = random.choice([0, 250, 255], size=(rows, inputs)).astype(np.int64)
        ids[0] = 255
        [found] = GraphSession(path).run(ids, np.ones_like(ids))
        np.testing.assert_array_equal(found, ids @ weight.astype(np.int64))


def test_seven_bits_cost_little(seven_bits: Path) -> None:
    texts: Any = ["how do i reset my password?", "忘记密码怎么办？"]
    with (
        SentenceEncoder(seven_bits, variant="fp32") as exact,
        SentenceEncoder(seven_bits, variant="int8-static") as low,
    ):
        assert ((exact.encode(texts) * low.encode(texts)).sum(axis=1) > 0.99).all()


def test_an_onnxruntime_that_ends_the_process_instead(
    quantized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that fit need nothing of it; those of artifacts from before they did are refused."""
    monkeypatch.setattr(byte_sums, "saturates_byte_sums", lambda: True)
    for place in (opening, session):
        monkeypatch.setattr(place, "runtime_version", lambda: "1.29.0")
    folder = shutil.copytree(quantized, tmp_path / "older")
    graph, manifest = folder / "onnx/model_int8.onnx", folder / "embedrt.json"
    proto = onnx.load(graph)
    onnx.helper.set_model_props(proto, {})
    onnx.save(proto, graph)
    told = json.loads(manifest.read_text(encoding="utf-8"))
    told["files"]["onnx/model_int8.onnx"] = {
        "sha256": hashlib.sha256(graph.read_bytes()).hexdigest(), "bytes": graph.stat().st_size
    }  # fmt: skip
    manifest.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(
        UnavailableError, match=r"^variant 'int8' has weights of 8 bits, .*, or quantize the model again$"
    ):
        SentenceEncoder(folder, variant="int8")
    for variant in ("fp32", "int8-static"):
        SentenceEncoder(folder, variant=variant).close()
