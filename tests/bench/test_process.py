"""The worker's protocol, with engines that are made up and with a tiny artifact of our own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from embedrt_bench.engines.loaders import LOADERS
from embedrt_bench.engines.process import EngineError, EngineProcess

from embedrt import SentenceEncoder
from embedrt.artifact.manifest import MANIFEST_FILE, Manifest
from embedrt.inference.layout import default_layout, tuned_path, write_tuned

HERE = Path(__file__).resolve().parent
Start = Callable[..., EngineProcess]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts an engine of made_up_engines.py by its name."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    processes = []

    def started(function: str, **options: Any) -> EngineProcess:
        chosen = {"python": Path(sys.executable), "threads": 1, **options}
        settings = {"module": "made_up_engines", "function": function}
        processes.append(EngineProcess(function, "imported", settings, **chosen))
        return processes[-1]

    yield started
    for process in processes:
        process.close()


def test_every_request(start: Start) -> None:
    engine = start("quiet")
    assert engine.load() == {"threads": "1", "kind": "quiet"}
    vectors = engine.encode(["文", "two", ""])
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, [[1, 1], [3, 1], [0, 1]])
    assert 0 < engine.time(["a"] * 100) < 5
    seconds = engine.stream(["a", "b", "c"])
    assert len(seconds) == 3
    assert all(second > 0 for second in seconds)
    assert 5e6 < engine.resident() < 1e9  # an interpreter with numpy


def test_no_time_counts_without_a_vector_for_each_text(start: Start) -> None:
    engine, texts = start("loses_some"), ["a"] * 101
    engine.load()
    assert len(engine.encode(texts[:64])) == 64
    for ask in (engine.time, engine.encode):
        with pytest.raises(EngineError, match=r"failed: ValueError: 101 texts gave 100 vectors$"):
            ask(texts)


def test_no_time_counts_for_what_is_no_vector(start: Start) -> None:
    engine = start("not_finite")
    engine.load()
    for ask in (engine.time, engine.stream, engine.encode):
        with pytest.raises(EngineError, match=r"failed: ValueError: some vectors are not finite$"):
            ask(["a", "b"])
    with pytest.raises(EngineError, match=r"'cold_start' failed: ValueError: some vectors are not finite$"):
        start("not_finite").cold_start("a")


def test_libraries_cannot_write_into_the_protocol(start: Start) -> None:
    engine = start("noisy")
    assert engine.load()["kind"] == "noisy"
    for _ in range(3):
        np.testing.assert_array_equal(engine.encode(["abc"]), [[3, 1]])


def test_a_failing_request_is_one_message_and_the_engine_goes_on(start: Start) -> None:
    engine = start("quiet")
    with pytest.raises(EngineError, match=r"^quiet: 'encode' failed: RuntimeError: ask for load first$"):
        engine.encode(["a"])
    engine.load()
    with pytest.raises(EngineError, match=r"^quiet: 'time' failed: ValueError: this text cannot be encoded$"):
        engine.time(["fail"])
    assert len(engine.encode(["a"])) == 1


def test_a_process_that_dies_leaves_its_last_words(start: Start) -> None:
    engine = start("quiet")
    engine.load()
    with pytest.raises(EngineError, match="quiet: its process ended with status 7 at 'time': the last words") as failed:
        engine.time(["die"])
    assert failed.value.name == "quiet"
    with pytest.raises(EngineError, match="status 7 at 'encode'"):
        engine.encode(["a"])


def test_an_engine_that_hangs(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = start("hangs")
    engine.load()
    monkeypatch.setattr("embedrt_bench.engines.process._PATIENCE", 0.1)
    with pytest.raises(EngineError, match=r"^hangs: it gave no answer to 'time' within 0.1 s$"):
        engine.time(["a"])


def test_an_interpreter_that_prints_as_it_starts(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the worker's first line, so that no worker can keep it from stdout."""
    (tmp_path / "sitecustomize.py").write_text("print('welcome')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{HERE}")
    with pytest.raises(EngineError, match=r"^quiet: at 'load' its interpreter printed 'welcome\\n', not an answer$"):
        start("quiet").load()


def test_a_loader_that_fails(start: Start) -> None:
    with pytest.raises(EngineError, match=r"^broken: 'load' failed: ImportError: a library is not there$"):
        start("broken").load()


def test_an_interpreter_that_is_not_there(start: Start, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"^quiet: its interpreter cannot be started: .*bin/python"):
        start("quiet", python=tmp_path / "bin/python")


def test_thread_budget_reaches_the_process(start: Start) -> None:
    engine = start("budget")
    assert engine.load() == {
        **dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "MKL_NUM_THREADS", "processors", "argument"), "1"),
        "threads": "1",
        "TOKENIZERS_PARALLELISM": "true",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(HERE),
    }


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor only")
def test_a_budget_of_two(start: Start) -> None:
    settings = start("budget", threads=2).load()
    assert (settings["OMP_NUM_THREADS"], settings["processors"]) == ("2", "2")


def test_peers_do_not_see_our_path(start: Start) -> None:
    with pytest.raises(EngineError, match="No module named 'made_up_engines'"):
        start("quiet", own=False).load()


def test_cold_start_counts_from_the_first_line(start: Start) -> None:
    seconds, peak = start("slow_to_wake").cold_start("text")
    assert seconds > 0.05  # what encoding the first text takes is in it
    assert peak > 5e6


def test_serving_encodes_together_what_waits(start: Start) -> None:
    engine = start("slow_to_wake")
    engine.load()
    latencies = engine.serve([(0.0, "first"), *((0.01, "waits") for _ in range(70)), (0.4, "late")])
    assert len(latencies) == 72
    assert latencies[0] >= 0.05
    assert latencies[64] - latencies[1] < 1e-6  # one batch of 64
    assert latencies[65] - latencies[64] >= 0.05  # the rest in another
    assert latencies[71] >= 0.05  # it was not encoded before it came


def test_closing_twice_and_before_anything(start: Start) -> None:
    engine = start("quiet")
    engine.close()
    engine.close()


def test_ends_with_its_parent(tmp_path: Path) -> None:
    worker = HERE.parents[1] / "bench/engines/worker.py"
    done = subprocess.run(
        [sys.executable, "-P", worker, "imported", "--threads", "1"], input="not json\n", capture_output=True, text=True,
        timeout=30, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["error"].startswith("JSONDecodeError")


def test_our_own_engine(tiny: Path, reference: Callable[..., npt.NDArray[np.float32]]) -> None:
    texts = ["how do i reset my password", "a cat sat on the mat", "忘记密码"]
    settings = {"artifact": str(tiny), "variant": "fp32"}
    with EngineProcess("embedrt fp32", "embedrt", settings, python=Path(sys.executable), threads=1) as engine:
        assert engine.load()["variant"] == "fp32"
        np.testing.assert_allclose(engine.encode(texts), reference(tiny, texts), atol=1e-6)


def test_our_own_engine_is_no_better_tuned_than_others(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDRT_CACHE", str(tmp_path))
    manifest = Manifest.from_json((tiny / MANIFEST_FILE).read_bytes())
    digest = manifest.files[manifest.variants["fp32"].file].sha256
    write_tuned(tuned_path(digest, onnxruntime.__version__), replace(default_layout(1), token_budget=64))
    with SentenceEncoder(tiny) as tuned:
        assert tuned._opened.layout.token_budget == 64
    encode, _ = LOADERS["embedrt"](str(tiny), "fp32", threads=1)
    encoder = getattr(encode, "__self__")  # noqa: B009  a method, known as a function
    assert encoder._opened.layout == default_layout(1)
    encoder.close()
