"""embedrt.util: what sentence_transformers.util gives under the same names."""

import importlib
import inspect
from functools import partial
from typing import Any

import numpy as np
import pytest
from sentence_transformers import util as theirs

from embedrt import SentenceEncoder, util
from embedrt.errors import InputError

NUMBERS = np.random.default_rng(0)
ONE, OTHER = (NUMBERS.standard_normal((count, 12)).astype(np.float32) for count in (9, 9))


@pytest.mark.parametrize("name", [name for name in util.__all__ if "sim" in name or "score" in name])
def test_similarities(name: str) -> None:
    found, expected = getattr(util, name)(ONE, OTHER), getattr(theirs, name)(ONE, OTHER)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_lengths_and_widths() -> None:
    normalized: Any = theirs.normalize_embeddings
    np.testing.assert_allclose(
        util.normalize_embeddings(ONE), normalized(importlib.import_module("torch").tensor(ONE)), atol=1e-6
    )
    np.testing.assert_array_equal(util.truncate_embeddings(ONE, 5), theirs.truncate_embeddings(ONE, 5))
    np.testing.assert_array_equal(util.truncate_embeddings(ONE[0], 5), theirs.truncate_embeddings(ONE[0], 5))


def test_arguments_by_their_names() -> None:
    for name in util.__all__:
        ours, those = (inspect.signature(getattr(module, name)).parameters.keys() for module in (util, theirs))
        assert ours - {"advance"} <= those, name
    np.testing.assert_array_equal(util.truncate_embeddings(embeddings=[[1.0, 2.0]], truncate_dim=1), [[1.0]])  # type: ignore[arg-type]
    np.testing.assert_array_equal(util.normalize_embeddings(embeddings=ONE), util.normalize_embeddings(ONE))


def test_pairs_of_texts(encoder: SentenceEncoder) -> None:
    texts = ["hello", "a cat", "hello world", "hello", "reset my password"]
    found = util.paraphrase_mining(encoder, texts, max_pairs=4, query_chunk_size=2, prompt="a ")  # type: ignore[call-arg]
    assert found == util.paraphrase_mining_embeddings(encoder.encode(texts, prompt="a "), max_pairs=4)
    assert found[0][1:] == (0, 3)
    with pytest.raises(TypeError, match=r"^paraphrase_mining takes no argument top_k: all pairs are compared"):
        util.paraphrase_mining(encoder, texts, top_k=1)  # type: ignore[call-arg]
    of_texts: Any = partial(util.paraphrase_mining, encoder, texts)
    of_vectors: Any = partial(util.paraphrase_mining_embeddings, ONE)
    for mine in (of_texts, of_vectors):
        with pytest.raises(InputError, match=r"^max_pairs is 0, expected at least 1$"):
            mine(max_pairs=0)
        with pytest.raises(TypeError, match=r"^max_pairs is a NoneType \(None\), expected a whole number$"):
            mine(max_pairs=None)


def test_what_is_elsewhere() -> None:
    assert all(hasattr(theirs, name) for name in util.__all__)
    for name in util._ELSEWHERE:
        assert hasattr(theirs, name) or hasattr(theirs.quantization, name)
        assert not hasattr(util, name)
    with pytest.raises(
        AttributeError, match=r"^embedrt.util has no semantic_search_faiss: hand encode's arrays to faiss"
    ):
        util.semantic_search_faiss  # noqa: B018
