"""Means of a corpus's texts, of which one may be longer than what is computed at a time."""

import tracemalloc

import numpy as np
from embedrt_export.words.component import mean_vectors
from embedrt_export.words.model import WordModel, WordWeights

from embedrt.text.tokenizer import token_rows

WORDS, WIDTH = 10, 64


def _model(pooling: str) -> WordModel:
    random = np.random.default_rng(2)
    weights = WordWeights(weights=random.uniform(0.1, 1, size=WORDS).astype(np.float32))
    table = random.normal(size=(WORDS, WIDTH)).astype(np.float32)
    return WordModel(table=table, pooling=(pooling,), on_tokens=(weights,))


def test_long_texts_take_no_memory_of_their_length() -> None:
    random = np.random.default_rng(3)
    texts = [random.integers(WORDS, size=size).tolist() for size in (3, 0, 300_000, 1, 100_000, 0)]
    for pooling, power in (("mean", 1.0), ("mean_sqrt_len_tokens", 0.5)):
        model, rows = _model(pooling), token_rows(texts)
        tracemalloc.start()
        found = mean_vectors(model, rows)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 30 << 20, "the words' vectors, all at once, are 98 MB"
        [weighting] = model.on_tokens
        assert isinstance(weighting, WordWeights)
        counts = [np.bincount(text, minlength=WORDS) * weighting.weights.astype(np.float64) for text in texts if text]
        expected = [count @ model.table.astype(np.float64) / count.sum() ** power for count in counts]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_texts_without_words() -> None:
    assert mean_vectors(_model("mean"), token_rows([[], []])).shape == (0, WIDTH)
