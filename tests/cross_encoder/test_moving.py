"""A reranker in code that was written for sentence-transformers."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from embedrt import CrossEncoder, HybridEncoder
from embedrt.errors import InputError


def test_a_reranker_as_it_is_opened_and_asked_there(tiny_reranker: Path) -> None:
    pairs = [("hello", "a cat sat on the mat. " * 9), ("cat", "hello")]
    with CrossEncoder(tiny_reranker, max_length=9) as reranker:  # type: ignore[call-arg]
        assert {len(ids) for ids in reranker.tokenize(pairs)} == {9, 5}
        logits = reranker.predict(sentences=pairs, activation_fn=nn.Identity(), num_workers=0)  # type: ignore[call-arg]
        np.testing.assert_array_equal(logits, reranker.predict(pairs, activation_fn="identity"))
        np.testing.assert_array_equal(
            reranker.predict(pairs, activation_fn=nn.Tanh()), reranker.predict(pairs, activation_fn="tanh")
        )
        with pytest.raises(InputError, match="activation_fn is 'gelu', expected one of identity, "):
            reranker.predict(pairs, activation_fn=nn.GELU())
    with pytest.raises(TypeError, match=r"^CrossEncoder takes no argument activation_fn: pass it to predict and rank$"):
        CrossEncoder(tiny_reranker, activation_fn=nn.Identity())  # type: ignore[call-arg]
    for kind in (CrossEncoder, HybridEncoder):  # which gives a vector a text too
        told = f"^truncate_dim is 3, which SentenceEncoder alone takes, not {kind.__name__}: leave it out$"
        with pytest.raises(InputError, match=told):
            kind(tiny_reranker, truncate_dim=3)
