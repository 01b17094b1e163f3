"""Clock, theory, measured peaks, and the share of them."""

import platform
import time
from pathlib import Path

import onnx
import pytest
from embedrt_bench.peaks import clock
from embedrt_bench.peaks.roofline import matrix_operations, measured_peak, share_of_peak
from embedrt_bench.peaks.theory import operations_a_cycle, theoretical_peaks
from onnx import TensorProto, helper


@pytest.mark.parametrize(
    ("instructions", "family", "expected"),
    [
        ("avx2", "25", (32, 64)),  # AMD Milan
        ("avx2 avx_vnni", "6", (32, 128)),  # Intel Alder Lake
        ("avx2 avx512f", "6", (64, 128)),  # Intel Skylake
        ("avx2 avx512f avx512_vnni", "6", (64, 256)),  # Intel Ice Lake
        ("avx2 avx512f avx512_vnni avx_vnni amx_int8", "6", (64, 2048)),  # Intel Sapphire Rapids
        ("avx2 avx512f avx512_vnni avx512_bf16", "25", (32, 128)),  # AMD Genoa
        ("avx2 avx512f avx512_vnni avx_vnni avx512_bf16", "26", (64, 256)),  # AMD Turin
        ("asimddp", "?", (16, 64)),
        ("asimddp i8mm", "?", (16, 128)),
    ],
)
def test_operations_a_cycle(instructions: str, family: str, expected: tuple[int, int]) -> None:
    found = operations_a_cycle(instructions.split(), family=family)
    assert found is not None
    assert found[:2] == expected


def test_theoretical_peaks() -> None:
    machine = {"instructions": ["avx2", "avx512f", "avx512_vnni"], "cpu_family_model": "26/2"}
    found = theoretical_peaks(machine, clock=(3.7e9, "measured"))
    # a register loop was measured on such a machine: 238 GFLOP/s in float32, 945 GOP/s in 8 bits
    assert found["fp32_gflops"] == pytest.approx(238, rel=0.02)
    assert found["int8_gops"] == pytest.approx(945, rel=0.02)
    assert found["why"].endswith("64 and 256 operations a cycle at 3.70 GHz (measured)")
    assert theoretical_peaks({**machine, "instructions": []}, clock=(3.7e9, "measured")) == {}
    assert theoretical_peaks(machine, clock=(0.0, "as the system reports it")) == {}


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="machine code of x86-64")
def test_clock_is_one_of_a_processor_that_exists() -> None:
    hertz, origin = clock.clock_hertz(repeats=3)
    assert origin == "measured"
    assert 2e8 < hertz < 7e9


def test_no_page_for_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError("no page may be writable and executable")

    monkeypatch.setattr("embedrt_bench.peaks.clock.mmap.mmap", refused)
    hertz, origin = clock.clock_hertz()
    assert origin == "as the system reports it"
    assert hertz >= 0


def test_operations_of_constant_matrices(tmp_path: Path) -> None:
    """A layer of MiniLM, with names that no configuration gives away, and what is no constant matrix beside it."""
    sizes = {"q": (384, 384), "k": (384, 384), "v": (384, 384), "o": (384, 384), "up": (384, 1536), "down": (1536, 384)}
    others = {"words": (30522, 384), "scale": (384,)}
    constants = [TensorProto(name=name, data_type=1, dims=dims) for name, dims in (sizes | others).items()]
    nodes = [helper.make_node("Gemm" if name == "o" else "MatMul", ["x", name], [f"{name}_out"]) for name in sizes]
    nodes += [helper.make_node("MatMul", ["q_out", "k_out"], ["scores"])]
    nodes += [helper.make_node("Gather", ["words", "ids"], ["x"]), helper.make_node("Mul", ["x", "scale"], ["y"])]
    onnx.save(helper.make_model(helper.make_graph(nodes, "layer", [], [], constants)), tmp_path / "model.onnx")
    layer = 3 * 384 * 384 + 384 * 384 + 384 * 1536 + 1536 * 384  # query, key, value; output; up; down
    assert matrix_operations(tmp_path / "model.onnx") == 2 * layer == 21_233_664 // 6


def test_share() -> None:
    speeds = {"a": 1000.0, "b": 4000.0, "no peak": 1.0}
    share = share_of_peak(speeds, {"a": 50.0, "b": 100.0, "not run": 100.0}, operations=20_000_000, threads=2)
    assert share == pytest.approx({"a": 0.2, "b": 0.4})  # 20 of 2 x 50, 80 of 2 x 100


def test_measured_peaks_take_the_time_given() -> None:
    began = time.perf_counter()
    assert measured_peak("fp32", seconds=0.03) > 0.01
    assert measured_peak("int8", seconds=0.03) > 0.01
    assert time.perf_counter() - began < 20
