"""The same artifact on a GPU: nothing on the CPU, the vectors those of the CPU, in any company."""

from pathlib import Path

import numpy as np
import pytest
from embedrt_bench.texts.workloads import composed_sentences

from embedrt import SentenceEncoder
from embedrt.corpus import Corpus, EncodeOptions, map_corpus
from embedrt.errors import ProviderError
from embedrt.inference.devices import CUDA_PROVIDER, TENSORRT_PROVIDER, Providers
from embedrt.inference.placement import strays
from embedrt.inference.session import GraphSession, available_providers, parse_device
from embedrt.tuning import tune

pytestmark = pytest.mark.gpu
TEXTS = composed_sentences(500)


@pytest.mark.parametrize(("variant", "worst"), [("fp32", 0.99999), ("fp16", 0.999)])
def test_vectors_are_those_of_the_cpu(minilm_fp16: Path, card: str, variant: str, worst: float) -> None:
    with SentenceEncoder(minilm_fp16) as cpu, SentenceEncoder(minilm_fp16, variant=variant, device=card) as cuda:
        assert CUDA_PROVIDER in cuda.providers
        expected, found = cpu.encode(TEXTS), cuda.encode(TEXTS)
    cosines = (expected * found).sum(axis=1)
    assert float(cosines.min()) > worst
    assert float(cosines.mean()) > (0.9999 if variant == "fp16" else 0.999999)


@pytest.mark.parametrize("variant", ["fp32", "fp16"])
def test_nothing_of_the_transformer_runs_on_the_cpu(minilm_fp16: Path, card: str, variant: str) -> None:
    name = {"fp32": "model", "fp16": "model_fp16"}[variant]
    session = GraphSession(minilm_fp16 / f"onnx/{name}.onnx", device=parse_device(card))
    assert strays(session.placements, CUDA_PROVIDER) == []
    assert any(one.provider == CUDA_PROVIDER and one.operator.endswith("MatMul") for one in session.placements)


def test_no_text_becomes_nan_in_float16(minilm_fp16: Path, card: str) -> None:
    texts = [*composed_sentences(50_000, seed=1), "x" * 2000, "!?" * 600, "忘记密码怎么办？" * 200, "", " "]
    with SentenceEncoder(minilm_fp16, variant="fp16", device=card) as cuda:
        vectors = cuda.encode(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)


def test_attention_by_lengths(minilm_fp16: Path, minilm_by_lengths: Path, card: str) -> None:
    with (
        SentenceEncoder(minilm_fp16) as cpu,
        SentenceEncoder(minilm_by_lengths, variant="fp16", device=card) as cuda,
    ):
        expected, found = cpu.encode(TEXTS), cuda.encode(TEXTS)
        alone = np.stack([cuda.encode(text) for text in TEXTS[:20]])
    cosines = (expected * found).sum(axis=1)
    assert float(cosines.min()) > 0.999
    assert float(cosines.mean()) > 0.9999
    np.testing.assert_allclose(alone, found[:20], atol=1e-3)
    session = GraphSession(minilm_by_lengths / "onnx/model_fp16.onnx", device=parse_device(card))
    assert strays(session.placements, CUDA_PROVIDER) == []


def test_tensorrt_keeps_its_engines(minilm_fp16: Path, card: str, tmp_path: Path) -> None:
    if TENSORRT_PROVIDER not in available_providers():
        pytest.skip(f"this ONNX Runtime has no {TENSORRT_PROVIDER}")
    kept = {"trt_fp16_enable": "1", "trt_engine_cache_enable": "1", "trt_engine_cache_path": str(tmp_path)}
    providers: Providers = [(TENSORRT_PROVIDER, kept), CUDA_PROVIDER]
    try:
        tensorrt = SentenceEncoder(minilm_fp16, variant="fp16", device=card, providers=providers)
    except ProviderError as missing:
        pytest.skip(str(missing))
    with tensorrt, SentenceEncoder(minilm_fp16) as cpu:
        cosines = (cpu.encode(TEXTS) * tensorrt.encode(TEXTS)).sum(axis=1)
    assert tensorrt.providers[0] == TENSORRT_PROVIDER
    assert float(cosines.min()) > 0.999
    assert list(tmp_path.glob("*.engine"))


def test_a_corpus_with_two_encoders_on_the_card(minilm_fp16: Path, card: str, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    corpus = Corpus(inputs=[tmp_path / "texts.txt"], output=tmp_path / "out", form="npy", part_rows=100)
    map_corpus(corpus, EncodeOptions(model=str(minilm_fp16), variant="fp16"), devices=(card, card))
    found = np.concatenate([np.load(part) for part in sorted((tmp_path / "out").glob("*.npy"))])
    with SentenceEncoder(minilm_fp16) as cpu:
        cosines = (cpu.encode(TEXTS) * found).sum(axis=1)
    assert float(cosines.min()) > 0.999


def test_tuning_for_the_card(minilm_fp16: Path, card: str) -> None:
    tuned = tune(minilm_fp16, "fp16", device=card, seconds=5)
    assert all(one.best > 0 for one in (*tuned.latency, *tuned.throughput))
