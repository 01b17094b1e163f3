"""The GPU bench itself, run on the CPU with a small model: what it measures, and what it says without a card."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from embedrt_bench.gpu.cards import copy_bandwidth, matrix_rate, why_no_card
from embedrt_bench.gpu.run import GpuModel, GpuSettings, lines, measure
from embedrt_bench.gpu.ways import WAYS, Card, Feed, Vectors, lines_of_ways, measure_ways
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
    result = measure([model], settings)
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
    assert len(table) == 2 + len(engines) + 3 + 2 + len(WAYS)
    assert table[2].startswith("| small | embedrt fp32 |")


def test_ways_to_hand_a_batch_over(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that a processor has give what ``run`` gives; the others say why there is nothing to measure."""

    def wrong(card: Card, feed: Feed) -> Callable[[], Vectors]:
        right = WAYS["run"](card, feed)
        return lambda: right() + np.float32(0.5)

    def stale(card: Card, feed: Feed) -> Callable[[], Vectors]:
        vectors = WAYS["run"](card, feed)()
        return lambda: vectors

    monkeypatch.setattr("embedrt_bench.gpu.ways.WAYS", {**WAYS, "wrong": wrong, "stale": stale})
    found = measure_ways(tiny / "onnx/model.onnx", Device("cpu"), tmp_path, shapes=[(1, 4), (5, 3)], seconds=0.001)
    assert list(found) == ["1 x 4", "5 x 3"]
    for one in found.values():
        assert all(one[name]["p50"] > 0 and one[name]["first_milliseconds"] > 0 for name in ("run", "bound", "wrong"))
        assert [one[name]["largest_difference"] for name in ("run", "bound")] == [0, 0]
        assert one["wrong"]["largest_difference"] == pytest.approx(0.5)
        assert one["stale"]["largest_difference"] > 0.01
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
