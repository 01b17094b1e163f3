"""Saturation of u8 × s8 on processors without VNNI: the claim, the detection, the warning, and the way around it."""

import itertools
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from embedrt_export.quantization import QuantizeOptions, quantize, search
from embedrt_export.quantization.scheme import Setting
from onnx import numpy_helper

from embedrt import SentenceEncoder, loading
from embedrt.processor import saturates_int8

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


FLAGS = {
    "flags\t\t: fpu sse4_2 avx avx2 fma": True,
    "flags\t\t: fpu avx2 avx512f avx512bw avx512_bf16": True,
    "flags\t\t: fpu avx2 avx512f avx512_vnni": False,
    "flags\t\t: fpu avx2 avx_vnni": False,
    "flags\t\t: fpu amx_int8": False,
    "flags\t\t: fpu avx2 avx_vnni_int16_of_no_use": True,
    "no flags here": False,
}


@pytest.mark.parametrize("line", FLAGS)
def test_detection(tmp_path: Path, line: str) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nbugs\t\t: avx_vnni\n{line}\n\nprocessor\t: 1\n", encoding="utf-8")
    for machine in ("x86_64", "AMD64"):
        assert saturates_int8(cpuinfo=cpuinfo, machine=machine) is FLAGS[line]
    for machine in ("aarch64", "arm64", "riscv64"):
        assert not saturates_int8(cpuinfo=cpuinfo, machine=machine)


def test_detection_where_nothing_is_told(tmp_path: Path) -> None:
    assert not saturates_int8(cpuinfo=tmp_path / "missing", machine="x86_64")
    assert saturates_int8() in (True, False)


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


Warned = Callable[..., list[str]]


@pytest.fixture
def warned(seven_bits: Path, monkeypatch: pytest.MonkeyPatch) -> Warned:
    """What loading a variant warns of, on a processor that saturates or not."""
    monkeypatch.setattr(loading, "_warned", set())

    def load(variant: str, *, saturates: bool = True) -> list[str]:
        monkeypatch.setattr(loading, "saturates_int8", lambda: saturates)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            SentenceEncoder(seven_bits, variant=variant).close()
        return [str(entry.message) for entry in caught]

    return load


def test_warning_is_given_once(warned: Warned, seven_bits: Path) -> None:
    [message] = warned("int8")
    assert message.startswith("this processor has no VNNI")
    assert message.endswith(f"embedrt quantize {seven_bits} --precision int8 --processor avx2")
    assert warned("int8") == []


@pytest.mark.parametrize(("variant", "saturates"), [("int8-static", True), ("fp32", True), ("int8", False)])
def test_no_warning(warned: Warned, variant: str, saturates: bool) -> None:
    assert warned(variant, saturates=saturates) == []


def test_a_graph_alone_says_nothing(seven_bits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_warned", set())
    monkeypatch.setattr(loading, "saturates_int8", lambda: True)
    SentenceEncoder(seven_bits / "onnx/model_int8.onnx").close()


def test_seven_bits_cost_little(seven_bits: Path) -> None:
    texts: Any = ["how do i reset my password?", "忘记密码怎么办？"]
    with (
        SentenceEncoder(seven_bits, variant="fp32") as exact,
        SentenceEncoder(seven_bits, variant="int8-static") as low,
    ):
        assert ((exact.encode(texts) * low.encode(texts)).sum(axis=1) > 0.99).all()
