"""What else export does, on checkpoints that begin with words: whitening, variants, and what has no sense there."""

from collections.abc import Callable
from pathlib import Path

import embedrt_export
import numpy as np
import pytest
from embedrt_export.changes import Changes
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import LSTM, Pooling, WordEmbeddings
from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer

from embedrt import SentenceEncoder
from embedrt.errors import CheckpointError, InputError

WIDTH = 40


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """InferSent's shape and a Dense behind it, over 2000 words: the table is large enough for int8."""
    words = [f"w{number}" for number in range(2000)]
    table = np.random.default_rng(0).normal(size=(2000, WIDTH)).astype(np.float32)
    embeddings = WordEmbeddings(WhitespaceTokenizer(words, stop_words=[]), table)
    modules = [embeddings, LSTM(WIDTH, 16), Pooling(32, pooling_mode="max"), Dense(32, 24)]
    folder = tmp_path_factory.mktemp("words") / "checkpoint"
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder


@pytest.fixture(scope="module")
def texts() -> list[str]:
    random = np.random.default_rng(1)
    return [
        " ".join(f"w{number}" for number in random.integers(2000, size=size))
        for size in random.integers(1, 9, size=300)
    ]


def test_whitening(
    checkpoint: Path, texts: list[str], tmp_path: Path, write_lines: Callable[[list[str]], Path]
) -> None:
    changes = Changes(whiten=write_lines(texts), dims=10)
    embedrt_export.export(str(checkpoint), tmp_path / "out", changes=changes, quiet=True)
    vectors = SentenceTransformer(str(checkpoint), device="cpu").encode(texts, batch_size=1).astype(np.float64)
    values, directions = np.linalg.eigh(np.cov(vectors.T, bias=True))
    expected = (vectors - vectors.mean(axis=0)) @ (directions[:, ::-1] / np.sqrt(values[::-1]))[:, :10]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    with SentenceEncoder(tmp_path / "out") as encoder:
        found = encoder.encode(texts)
        assert not encoder.encode("unknown").any()
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)  # directions may point either way
    embedrt_export.verify(tmp_path / "out", against=str(checkpoint), quiet=True)


def test_variants(checkpoint: Path, texts: list[str], tmp_path: Path) -> None:
    manifest = embedrt_export.export(str(checkpoint), tmp_path / "out", precisions=["int8", "fp16"], quiet=True)
    with SentenceEncoder(tmp_path / "out") as exact:
        expected = exact.encode(texts)
    for precision in ("int8", "fp16"):
        with SentenceEncoder(tmp_path / "out", variant=precision) as encoder:
            found = encoder.encode(texts)
            np.testing.assert_array_equal(found[:5], np.stack([encoder.encode(text) for text in texts[:5]]))
        assert 0 < np.abs(found - expected).max() < 0.02
        assert manifest.variants[precision].parity.cosine_mean > 0.9999


def test_a_vocabulary_of_words_is_not_trimmed(
    checkpoint: Path, texts: list[str], tmp_path: Path, write_lines: Callable[[list[str]], Path]
) -> None:
    changes = Changes(keep_vocabulary_of=(write_lines(texts),))
    with pytest.raises((CheckpointError, InputError), match="cannot be trimmed"):
        embedrt_export.export(str(checkpoint), tmp_path / "out", changes=changes, quiet=True)
