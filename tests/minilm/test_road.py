"""The whole road on a real model: export, serve, and compare with sentence-transformers and with published figures."""

import hashlib
import importlib.metadata
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from embedrt_bench.scenarios.sts import spearman
from embedrt_bench.texts.data import data_folder, sts_benchmark, sts_texts, sts_year
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from embedrt import SentenceEncoder
from embedrt.artifact.manifest import Manifest
from embedrt.errors import ParityError

TOLERANCE = 1e-5

SHORT = [
    "The harbour master counts the boats every evening before the lighthouse is lit.",
    "Which train goes to the airport on Sundays?",
    "Trains to the airport: timetable for the weekend",
    "My cat refuses to eat anything but tuna.",
    "Photosynthesis turns light, water and carbon dioxide into sugar.",
    "INVOICE No. 2024-0815, due within 14 days, total: €1,299.00",
    "don't, can't, won't -- it's the apostrophe's fault",
    "SELECT name FROM users WHERE age > 30 ORDER BY name;",
    "E = mc², ∑ xᵢ ≤ ∞, 5 ≠ 6",
    "Straße, garçon, señor, smörgåsbord, Łódź, crème",
    "supercalifragilisticexpialidocious",
    "no",
    "?",
    "   spaces   around   ",
    "two\nlines\tand a tab",
    "",
    "\u3000",
    "如何修改我的登录密码？",
    "昨天的足球比赛因为大雨取消了。",
    "机器学习模型把句子变成向量 embedding",
    "図書館は何時に閉まりますか。",
    "도서관은 몇 시에 닫나요?",
    "Где находится ближайшая аптека?",
    "أين أقرب صيدلية؟",
    "सबसे नज़दीकी दवाखाना कहाँ है?",
    "🚀🚀🚀",
    "Great job 🎉 see you tomorrow 👋🏽",
    "👩‍🚀 on the 🌕, 家族 👨‍👩‍👧",
    "[MASK] is a [SEP] special [CLS] word [PAD]",
    "ends with a zero\x00byte and a joiner\u200d",
]
_WORDS = [
    *("the", "old", "bridge", "over", "the", "river", "was", "closed", "after", "the", "flood", "and", "traffic"),
    *("had", "to", "take", "a", "longer", "way", "around", "town"),
]
LONG = [" ".join(_WORDS[: length % 21 + 1] * (length // 7 + 1)) for length in range(1, 60, 3)] + [
    " ".join(_WORDS * 200),
    "长句子没有空格" * 300,
    "a" * 5000,
    "😀" * 700,
    "one, " * 253 + "two",  # just within the 256 tokens and just beyond
    "one " * 254,
    "one " * 255,
    "Ünïcödé " * 120,
    "word " * 300 + "never read",
    ". " * 500,
]
TEXTS = SHORT + LONG

GOLDEN = [
    0.05151207745075226,
    0.007261703256517649,
    0.022411923855543137,
    0.08674181252717972,
    -0.038690995424985886,
    0.006128198001533747,
    -0.019099686294794083,
    -0.05915449932217598,
]
"""The first components of SHORT[0]: sentence-transformers 6.2.0, torch 2.13.0, float32."""

needs_sts = pytest.mark.skipif(data_folder() is None, reason="the STS files are not here: set EMBEDRT_DATA")


def sts_folder() -> Path:
    folder = data_folder()
    assert folder is not None
    return folder


def test_export_is_faithful_and_fused(minilm: Path) -> None:
    manifest = Manifest.from_json((minilm / "embedrt.json").read_bytes())
    assert (manifest.serving.max_seq_length, manifest.serving.dimension) == (256, 384)
    assert (manifest.serving.pooling, manifest.serving.normalize) == (("mean",), True)
    variant = manifest.variants["fp32"]
    assert variant.parity.texts == 40
    assert 0 < variant.parity.max_abs_difference <= TOLERANCE
    assert variant.parity.cosine_min > 1 - 1e-9
    graph = onnx.load(minilm / variant.file).graph
    assert [node.op_type for node in graph.node].count("Attention") == 6
    assert [value.name for value in graph.input] == ["input_ids", "attention_mask"]
    assert [value.name for value in graph.output] == ["sentence_embedding"]


def test_golden_vector(encoder: SentenceEncoder) -> None:
    vector = encoder.encode(SHORT[0])
    assert vector.shape == (384,)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector[:8], GOLDEN, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-6)


def test_equals_sentence_transformers(encoder: SentenceEncoder, original: Any) -> None:
    assert len(set(TEXTS)) >= 60
    expected = original.encode(TEXTS, show_progress_bar=False)
    vectors = encoder.encode(TEXTS)
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(
        encoder.similarity(vectors, vectors), original.similarity(expected, expected).numpy(), rtol=0, atol=TOLERANCE
    )
    assert encoder.max_seq_length == original.max_seq_length


@pytest.fixture(scope="module")
def alone(encoder: SentenceEncoder) -> npt.NDArray[np.float32]:
    """Each text encoded by itself, (texts, 384)."""
    return np.stack([encoder.encode(text) for text in TEXTS])


@settings(max_examples=20, deadline=None)
@given(chosen=st.lists(st.integers(0, len(SHORT) + 9), min_size=1, max_size=24), size=st.none() | st.integers(1, 9))
def test_company_changes_no_bit(
    encoder: SentenceEncoder, alone: npt.NDArray[np.float32], chosen: list[int], size: int | None
) -> None:
    vectors = encoder.encode([TEXTS[index] for index in chosen], batch_size=size)
    np.testing.assert_array_equal(vectors, alone[chosen])


@needs_sts
def test_company_changes_no_bit_of_sts(encoder: SentenceEncoder) -> None:
    texts = sts_texts(sts_folder())[::60][:300]
    assert len(texts) == 300
    together = encoder.encode(texts)
    np.testing.assert_array_equal(together, np.stack([encoder.encode(text) for text in texts]))
    np.testing.assert_array_equal(together, encoder.encode(texts[::-1], batch_size=32)[::-1])


_SERVE = """
import json, sys
from embedrt import SentenceEncoder
print(SentenceEncoder(sys.argv[1]).encode(sys.argv[2])[:8].tolist())
print(json.dumps([name for name in ("torch", "transformers", "sentence_transformers", "onnx") if name in sys.modules]))
"""


def test_serving_loads_no_torch(minilm: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run_python(_SERVE, minilm, SHORT[0])
    assert done.returncode == 0, done.stderr
    vector, loaded = map(json.loads, done.stdout.splitlines())
    assert loaded == []
    np.testing.assert_allclose(vector, GOLDEN, rtol=0, atol=TOLERANCE)


def test_single_file_gives_the_same_bits(minilm: Path, encoder: SentenceEncoder, tmp_path: Path) -> None:
    shutil.copy(minilm / "onnx/model.onnx", tmp_path / "moved.onnx")
    shutil.copy(minilm / "tokenizer.json", tmp_path)
    with SentenceEncoder(tmp_path / "moved.onnx") as single:
        assert (single.variant, single.max_seq_length) == (None, 256)
        np.testing.assert_array_equal(single.encode(TEXTS), encoder.encode(TEXTS))


# sentence-transformers' own figures on these files, in float32
@needs_sts
@pytest.mark.parametrize(("name", "published"), [("STS13", 80.60), ("STS14", 75.60), ("STS benchmark", 82.03)])
def test_sts(encoder: SentenceEncoder, name: str, published: float) -> None:
    pairs = sts_benchmark(sts_folder()) if name == "STS benchmark" else sts_year(sts_folder(), 2000 + int(name[3:]))
    assert len(pairs.gold) == {"STS13": 1500, "STS14": 3750, "STS benchmark": 1379}[name]
    assert spearman(encoder.encode, pairs) == pytest.approx(published, abs=0.02)


def test_verify_repeats_the_comparison(minilm: Path, checkpoint: Path) -> None:
    manifest, parity = embedrt_export.verify(minilm, against=str(checkpoint), quiet=True)
    assert parity == manifest.variants["fp32"].parity
    assert importlib.metadata.version("onnxruntime") in parity.runtime


def test_verify_refuses_other_weights(
    minilm: Path, checkpoint: Path, tmp_path: Path, edit_manifest: Callable[..., None]
) -> None:
    """Hashes that fit are no parity."""
    folder = shutil.copytree(minilm, tmp_path / "perturbed")
    path = folder / "onnx/model.onnx"
    model = onnx.load(path)
    weight = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = numpy_helper.to_array(weight).copy()
    values += np.random.default_rng(0).normal(0, 1e-3, values.shape).astype(np.float32)
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, path)
    record = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
    edit_manifest(folder, lambda manifest: manifest["files"].update({"onnx/model.onnx": record}))
    with pytest.raises(ParityError, match=r"the graph differs from the checkpoint by .* worst text "):
        embedrt_export.verify(folder, against=str(checkpoint), quiet=True)
