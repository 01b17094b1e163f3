"""The real all-MiniLM-L6-v2: its transformer traced by itself, grafted, against sentence-transformers and our own export."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from embedrt_bench.engines.tracing import trace_transformer
from embedrt_bench.models.minilm import checkpoint_folder
from embedrt_export.graft import GraftOptions, graft
from embedrt_export.parity.texts import PARITY_TEXTS
from onnxruntime.quantization import quantize_dynamic
from sentence_transformers import SentenceTransformer

from embedrt import SentenceEncoder
from embedrt.text.tokenizer import TextTokenizer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint's small files, its transformer's graph, and a dynamic-int8 one under the Hub's usual name."""
    place = shutil.copytree(
        checkpoint_folder(), tmp_path_factory.mktemp("hub") / "minilm", ignore=shutil.ignore_patterns("*.safetensors")
    )
    (place / "onnx").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about its own deprecations
        trace_transformer(checkpoint_folder(), place / "onnx/model.onnx")
    quantize_dynamic(place / "onnx/model.onnx", place / "onnx/model_qint8_avx512_vnni.onnx")
    return place


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    model = SentenceTransformer(str(checkpoint_folder()), device="cpu")
    vectors: np.ndarray = model.encode(list(PARITY_TEXTS), batch_size=7)
    return vectors


def test_vectors_and_token_ids(folder: Path, expected: np.ndarray, tmp_path: Path) -> None:
    manifest = graft(folder, tmp_path / "out", quiet=True)
    assert (manifest.serving.max_seq_length, manifest.serving.normalize) == (256, True)
    found = SentenceEncoder(tmp_path / "out").encode(list(PARITY_TEXTS))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    theirs = SentenceTransformer(str(checkpoint_folder()), device="cpu").tokenizer(list(PARITY_TEXTS), truncation=True)
    ours = TextTokenizer(tmp_path / "out/tokenizer.json").encode(PARITY_TEXTS)
    assert [ours.row(index).tolist() for index in range(len(PARITY_TEXTS))] == theirs["input_ids"]
    assert all(not weight.external_data for weight in onnx.load(tmp_path / "out/onnx/model.onnx").graph.initializer)


def test_company_changes_no_bit(folder: Path, tmp_path: Path) -> None:
    graft(folder, tmp_path / "out", quiet=True)
    encoder = SentenceEncoder(tmp_path / "out")
    alone = np.stack([encoder.encode(text) for text in PARITY_TEXTS])
    np.testing.assert_array_equal(encoder.encode([*PARITY_TEXTS, *PARITY_TEXTS[::-1]])[: len(PARITY_TEXTS)], alone)


def test_int8_of_the_hub(folder: Path, expected: np.ndarray, tmp_path: Path) -> None:
    graph = "onnx/model_qint8_avx512_vnni.onnx"
    options = GraftOptions(graph=graph)
    manifest = graft(folder, tmp_path / "out", options=options, quiet=True)
    assert manifest.variants["int8-foreign"].parity.max_abs_difference <= 1e-5
    found = SentenceEncoder(tmp_path / "out").encode(list(PARITY_TEXTS), batch_size=1)
    session = onnxruntime.InferenceSession(folder / graph, providers=["CPUExecutionProvider"])
    tokens = TextTokenizer(tmp_path / "out/tokenizer.json").encode(PARITY_TEXTS)
    for index, vector in enumerate(found):  # the recipe of model cards, on the graph as it came
        ids = tokens.row(index)[None, :]
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        mean = session.run(None, feed)[0][0].mean(axis=0)
        assert vector @ mean / np.linalg.norm(mean) > 0.99, PARITY_TEXTS[index]
    assert (found * expected).sum(axis=1).max() < 0.9999, "it is the int8 graph that was finished"
