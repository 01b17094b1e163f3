"""Exported cross-encoders against sentence-transformers' own, over pairs that it truncates, pads and mixes as it likes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from embedrt_bench.compatibility.cross_encoders import CROSS_ENCODERS
from embedrt_export.parity.pairs import PARITY_PAIRS
from sentence_transformers import CrossEncoder as Original

from embedrt import CrossEncoder

Exported = Callable[[str], tuple[Path, Path]]
QUICK = ("MS-MARCO MiniLM", "BGE reranker", "NLI RoBERTa")
FAMILIES = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow], id=name.replace(" ", "_"))
    for name in CROSS_ENCODERS
]
PAIRS = [list(pair) for pair in PARITY_PAIRS]
DOCUMENTS = [
    "The old phone is gone.",
    "",
    "A kitten sleeps.",
    "The old phone is gone.",
    "忘记密码怎么办？",
    "word " * 90,
]
QUERY = "How do I reset my password?"


@pytest.mark.parametrize("name", FAMILIES)
def test_predict_and_rank(exported: Exported, name: str) -> None:
    checkpoint, artifact = exported(name)
    original = Original(str(checkpoint), device="cpu")
    with CrossEncoder(artifact) as ours:
        expected = original.predict(PAIRS, show_progress_bar=False, batch_size=7)
        found = ours.predict(PAIRS)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        few = PAIRS[:25]
        logits = original.predict(few, show_progress_bar=False, activation_fn=torch.nn.Identity())
        np.testing.assert_allclose(ours.predict(few, activation_fn="identity"), logits, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(ours.predict(PAIRS[7]), original.predict(PAIRS[7]), rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(np.stack([ours.predict(pair) for pair in PAIRS]), found)
        assert (ours.num_labels, ours.max_seq_length) == (original.num_labels, original.max_seq_length)
        if ours.num_labels == 1:
            _assert_same_ranking(original, ours)
        else:
            softmax = original.predict(few, show_progress_bar=False, apply_softmax=True)
            np.testing.assert_allclose(ours.predict(few, apply_softmax=True), softmax, rtol=1e-5, atol=1e-5)


def _assert_same_ranking(original: Any, ours: CrossEncoder) -> None:
    several: list[dict[str, Any]] = [{}, {"top_k": 2, "return_documents": True}]
    for options in several:
        # alone, so that equal documents have equal scores there too
        expected = original.rank(QUERY, DOCUMENTS, show_progress_bar=False, batch_size=1, **options)
        found = ours.rank(QUERY, DOCUMENTS, **options)
        assert [set(entry) for entry in found] == [set(entry) for entry in expected]
        assert [entry["corpus_id"] for entry in found] == [entry["corpus_id"] for entry in expected]
        assert [entry.get("text") for entry in found] == [entry.get("text") for entry in expected]
        np.testing.assert_allclose(
            [entry["score"] for entry in found], [entry["score"] for entry in expected], rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("name", ["MS-MARCO MiniLM", "BGE reranker"])
def test_tokens_and_their_types(exported: Exported, name: str) -> None:
    """Cut where sentence-transformers cuts, token by token from the longer text."""
    checkpoint, artifact = exported(name)
    original, ours = Original(str(checkpoint), device="cpu"), CrossEncoder(artifact)
    rows = ours._scoring.tokens(PARITY_PAIRS)
    assert max(rows.lengths) == 48
    for index, pair in enumerate(PAIRS):
        features = original.preprocess([pair])
        assert rows.row(index).tolist() == features["input_ids"][0].tolist(), pair
        if rows.type_ids is not None:
            assert rows.types_of(index).tolist() == features["token_type_ids"][0].tolist(), pair
    assert (rows.type_ids is not None) == (name == "MS-MARCO MiniLM")


def test_a_prompt(exported: Exported) -> None:
    checkpoint, artifact = exported("MS-MARCO MiniLM")
    original = Original(str(checkpoint), device="cpu")
    expected = original.predict(PAIRS[:30], prompt="query: ", show_progress_bar=False)
    np.testing.assert_allclose(
        CrossEncoder(artifact).predict(PAIRS[:30], prompt="query: "), expected, rtol=1e-5, atol=1e-5
    )


def test_what_is_no_pair_list_there_either(exported: Exported) -> None:
    """Nothing and one pair by itself have the shapes of sentence-transformers."""
    checkpoint, artifact = exported("BGE reranker")
    original, ours = Original(str(checkpoint), device="cpu"), CrossEncoder(artifact)
    assert original.predict([]).shape == ours.predict([]).shape == (0,)
    assert original.rank(QUERY, []) == ours.rank(QUERY, []) == []
    assert type(original.predict(["a", "b"])) is type(ours.predict(["a", "b"])) is np.float32
