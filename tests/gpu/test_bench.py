"""The GPU bench itself, run on the CPU with a small model: what it measures, and what it says without a card."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import embedrt_export
import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from embedrt_bench.engines.catalogue import REFERENCE
from embedrt_bench.engines.process import EngineError
from embedrt_bench.gpu.cards import copy_bandwidth, matrix_rate, why_no_card
from embedrt_bench.gpu.graph_on_card import Card, Feed
from embedrt_bench.gpu.lineup import GpuLineup
from embedrt_bench.gpu.run import GpuModel, GpuSettings, _pair_seconds, lines, measure
from embedrt_bench.gpu.ways import WAYS, Vectors, lines_of_ways, measure_ways
from embedrt_bench.models.minilm import with_lengths
from embedrt_bench.texts.workloads import composed_sentences

from embedrt.inference.devices import Device


def _checkpoint(folder: Path) -> Path:
    import torch
    from embedrt_bench.compatibility.tokenizers import small_tokenizer
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    tokenizer = small_tokenizer("wordpiece", max_length=64)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    modules = [Transformer(str(folder / "bert")), Pooling(32), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "small"))
    return folder / "small"


def test_a_run_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"_FIRST_RATE": 64.0, "_HIGHEST_RATE": 64.0, "FEWEST": 3}.items():
        monkeypatch.setattr(f"embedrt_bench.scenarios.server.{name}", value)
    monkeypatch.setattr("embedrt_bench.scenarios.single_stream.FEWEST", 3)
    monkeypatch.setattr("embedrt_bench.scenarios.turns.sleep", lambda _seconds: None)
    monkeypatch.setattr("embedrt_bench.gpu.run.measure_ways", partial(measure_ways, seconds=0.01))
    checkpoint = _checkpoint(tmp_path)
    embedrt_export.export(str(checkpoint), tmp_path / "out", precisions=["fp16"], quiet=True)
    texts = composed_sentences(40)
    model = GpuModel(
        name="small",
        checkpoint=checkpoint,
        artifact=tmp_path / "out",
        texts={"STS": texts, "128 tokens": texts[:20], "one text": texts[:3], "pairs": texts},
        by_lengths=with_lengths(tmp_path / "out", tmp_path / "lengths"),
    )
    settings = GpuSettings(
        device="cpu",
        rounds=1,
        threads=2,
        matrix_size=64,
        bound=1e6,
        single_seconds=0.01,
        server_seconds=0.01,
        shapes=((1, 8), (3, 16)),
    )
    kept: list[dict[str, Any]] = []
    result = measure([model], settings, keep=kept.append)
    assert kept == [result]
    found = result["models"]["small"]
    ours = ["embedrt fp32", "embedrt fp16", "embedrt fp16 by lengths"]
    engines = [*ours, *(f"sentence-transformers {kind}" for kind in _KINDS)]
    assert list(found["engines"]) == engines
    for scenario in ("STS", "128 tokens"):
        assert all(found[scenario][name]["texts_per_second"]["median"] > 0 for name in engines)
    assert all(found["one text"][name]["p50"] > 0 for name in engines)
    assert found["pairs"]["sentences"] == len(texts)
    assert all(found["pairs"]["seconds"][name] > 0 for name in engines)
    assert all(found["requests"][name]["requests_per_second"] >= 64 for name in engines)
    assert result["card"] == {"name": "cpu"}
    assert result["not measured"] == {"sentence-transformers float16, FlashAttention": "it runs on a card only"}
    assert list(found["ways of fp16"]) == ["1 x 8", "3 x 16"]
    table = lines(result)
    assert len(table) == 2 + len(engines) + 2 + 3 + 2 + len(WAYS)
    assert "small, not measured: sentence-transformers float16, FlashAttention: it runs on a card only" in table
    assert table[2].startswith("| small | embedrt fp32 |")


def test_ways_to_hand_a_batch_over(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that a processor has give what ``run`` gives; the others say why there is nothing to measure."""

    def wrong(card: Card, feed: Feed) -> Callable[[], Vectors]:
        right = WAYS["run"](card, feed)
        return lambda: right() + np.float32(0.5)

    def stale(card: Card, feed: Feed) -> Callable[[], Vectors]:
        vectors = WAYS["run"](card, feed)()
        return lambda: vectors

    def late(card: Card, feed: Feed) -> Callable[[], Vectors]:
        """Not a number once the batch has changed, which no maximum shows."""
        call, first = WAYS["run"](card, feed), iter([0.0])
        return lambda: call() + np.float32(next(first, np.nan))

    def broken(card: Card, feed: Feed) -> Callable[[], Vectors]:
        call, times = WAYS["run"](card, feed), iter(range(4))

        def fourth() -> Vectors:
            if next(times) == 3:
                raise RuntimeError("the card is gone")
            return call()

        return fourth

    more = {"wrong": wrong, "stale": stale, "late": late, "broken": broken}
    monkeypatch.setattr("embedrt_bench.gpu.ways.WAYS", {**WAYS, **more})
    found = measure_ways(tiny / "onnx/model.onnx", Device("cpu"), tmp_path, shapes=[(1, 4), (5, 3)], seconds=0.001)
    assert list(found) == ["1 x 4", "5 x 3"]
    for one in found.values():
        assert all(one[name]["p50"] > 0 and one[name]["first_milliseconds"] > 0 for name in ("run", "bound"))
        assert [one[name]["largest_difference"] for name in ("run", "bound")] == [0, 0]
        assert one["wrong"]["largest_difference"] == pytest.approx(0.5)
        assert one["stale"]["largest_difference"] > 0.01
        assert one["wrong"]["reason"] == "its vectors differ from those of run by 5.0e-01"
        assert one["late"] == {"first_milliseconds": one["late"]["first_milliseconds"], "reason": _NOT_FINITE}
        assert one["broken"]["reason"] == "the card is gone"
        assert not any("p50" in one[name] for name in ("wrong", "stale", "late", "broken"))
        assert {one[name]["reason"] for name in _ON_A_CARD} == {"a processor has no memory of its own"}
        assert one["TensorRT"] == {"reason": "this ONNX Runtime has no TensorrtExecutionProvider"}
    table = lines_of_ways(found)
    assert table[0] == "| way | 1 x 4 | 5 x 3 |"
    assert table[3].startswith("| bound | 0.")
    assert table[5].count("a processor has no memory of its own") == 2


def test_ways_of_a_card_with_a_processor_in_its_place(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies into memory of the host, arrays over it, values bound by hand: all but the card itself."""

    def in_memory(_card: Card, like: npt.NDArray[Any]) -> Any:
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(like.shape, like.dtype)

    def session(card: Card, _shape: object = None, **_options: str) -> Any:
        return onnxruntime.InferenceSession(str(card.graph), providers=["CPUExecutionProvider"])

    monkeypatch.setattr(Card, "require_a_card", lambda _card: None)
    monkeypatch.setattr(Card, "_in_page_locked_memory", in_memory)
    monkeypatch.setattr(Card, "session", session)
    [found] = measure_ways(tiny / "onnx/model.onnx", Device("cpu"), tmp_path, shapes=[(5, 3)], seconds=0.001).values()
    assert [found[name]["largest_difference"] for name in _ON_A_CARD] == [0] * 4
    assert all(found[name]["p50"] > 0 for name in _ON_A_CARD)


def test_without_run_there_is_nothing_to_compare_with(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_card: Card, _feed: Feed) -> Callable[[], Vectors]:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("embedrt_bench.gpu.ways.WAYS", {"run": missing, "bound": WAYS["bound"]})
    [found] = measure_ways(tiny / "onnx/model.onnx", Device("cpu"), tmp_path, shapes=[(1, 4)], seconds=0.001).values()
    assert found["run"] == {"reason": "out of memory"}
    assert found["bound"]["reason"] == "run gave no vectors to compare with"


class _Process:
    """An engine that fails at what it is told to, or gives other vectors."""

    log: ClassVar[list[str]] = []

    def __init__(self, name: str, _loader: str, options: dict[str, Any], **_more: Any) -> None:
        self.name, self._fails = name, options.get("fails")

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        self.log.append(f"{self.name} closed")

    def load(self) -> dict[str, str]:
        self._at("load")
        return {"threads": "2"}

    def encode(self, texts: list[str]) -> npt.NDArray[np.float32]:
        vectors = np.eye(len(texts), dtype=np.float32)
        return vectors[::-1] if self._fails == "order" else vectors

    def time(self, _texts: list[str]) -> float:
        self.log.append(f"{self.name} timed")
        self._at("time")
        return 1.0

    def _at(self, what: str) -> None:
        if self._fails == what:
            raise EngineError(self.name, f"{what} failed")


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Engines of this process in place of those with their own; gives their log."""
    monkeypatch.setattr("embedrt_bench.gpu.lineup.EngineProcess", _Process)
    monkeypatch.setattr("embedrt_bench.scenarios.turns.sleep", lambda _seconds: None)
    monkeypatch.setattr(_Process, "log", [])
    return _Process.log


def test_an_engine_that_fails_leaves_with_its_reason(processes: list[str]) -> None:
    wanted: dict[str, Any] = {
        "a": {"fails": "load"},
        "b": {"fails": "order"},
        "c": {"fails": "time"},
        "d": {},
        REFERENCE: {},
    }
    with GpuLineup(wanted, threads=2) as lineup:
        lineup.open(["one", "two"])
        assert [engine.name for engine in lineup.running] == ["c", "d", REFERENCE]
        found = lineup.measure(lambda: _pair_seconds(lineup.running, ["one", "two"], 1, "pairs"))
        assert list(found["seconds"]) == ["d", REFERENCE]
        assert list(lineup.settings) == ["d", REFERENCE]
    assert lineup.reasons["a"] == "load failed"
    assert lineup.reasons["b"].startswith("its vectors are not the model's: smallest cosine 0.0")
    assert lineup.reasons["c"] == "time failed"
    assert {f"{name} closed" for name in wanted} <= set(processes)


def test_without_the_reference_nothing_is_measured(processes: list[str]) -> None:
    with (
        pytest.raises(EngineError, match=f"^{REFERENCE}: load failed"),
        GpuLineup({"d": {}, REFERENCE: {"fails": "load"}}, threads=2) as lineup,
    ):
        lineup.open(["one"])
    assert "d closed" in processes


def test_pairs_take_turns(processes: list[str]) -> None:
    engines: Any = [_Process("a", "", {}), _Process("b", "", {})]
    found = _pair_seconds(engines, ["one", "two", "three"], 2, "pairs")
    assert processes == ["a timed", "b timed"] * 2
    assert [len(found["runs"][name]) for name in "ab"] == [2, 2]
    assert min(found["seconds"].values()) > 1


_NOT_FINITE = "some of its vectors are not finite"
_ON_A_CARD = ("page-locked", "bound, page-locked", "on the card", "CUDA graph")
_KINDS = ("float32", "float16", "bfloat16")


def test_limits_count_operations_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedrt_bench.gpu.cards._seconds", lambda _work, _device: 0.5)
    assert matrix_rate("cpu", "float32", size=100) == pytest.approx(2 * 100**3 / 0.5 / 1e9)
    assert copy_bandwidth("cpu", megabytes=3) == pytest.approx(2 * 3 * 2**20 / 0.5 / 1e9)


def test_without_a_card_it_says_so_and_ends_well() -> None:
    if why_no_card() is None:
        pytest.skip("there is a card, and the bench would run on it")
    ended = subprocess.run([sys.executable, "-m", "embedrt_bench.gpu.run"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0
    assert ended.stdout.startswith("skipped: PyTorch sees no CUDA device")
