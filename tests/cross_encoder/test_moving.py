"""A reranker in code that was written for sentence-transformers."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder as Original
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
        sigmoids = reranker.predict(pairs, activation_fn="sigmoid")
        for theirs in (torch.sigmoid, nn.functional.sigmoid, nn.Sigmoid()):
            np.testing.assert_array_equal(reranker.predict(pairs, activation_fn=theirs), sigmoids)  # type: ignore[arg-type]
            np.testing.assert_array_equal(reranker.predict(pairs, activation_fct=theirs), sigmoids)  # type: ignore[call-arg]
        with pytest.raises(InputError, match="activation_fn is 'gelu', expected one of identity, "):
            reranker.predict(pairs, activation_fn=nn.GELU())
    with pytest.raises(TypeError, match=r"^CrossEncoder takes no argument activation_fn: pass it to predict and rank$"):
        CrossEncoder(tiny_reranker, activation_fn=nn.Identity())  # type: ignore[call-arg]
    for kind in (CrossEncoder, HybridEncoder):  # which gives a vector a text too
        told = f"^truncate_dim is 3, which SentenceEncoder alone takes, not {kind.__name__}: leave it out$"
        with pytest.raises(InputError, match=told):
            kind(tiny_reranker, truncate_dim=3)


def test_what_rank_takes_there_without_effect(reranker: CrossEncoder) -> None:
    expected = reranker.rank("cat", ["hello", "a cat"])
    found = reranker.rank("cat", ["hello", "a cat"], convert_to_tensor=True, apply_softmax=True)  # type: ignore[call-arg]
    assert found == expected


@pytest.mark.parametrize("family", ["MS-MARCO MiniLM", "NLI RoBERTa"])
def test_functions_of_the_logits_as_there(exported: Callable[[str], tuple[Path, Path]], family: str) -> None:
    """Each may give as many scores a pair as there are labels, or one; the softmax comes after those that are several."""
    checkpoint, artifact = exported(family)
    pairs = [("hello", "a cat"), ("a cat sat on the mat", "cat"), ("", "忘记密码怎么办？")]
    theirs, functions = (
        Original(str(checkpoint), device="cpu"),
        (lambda logits: logits[:, 0], lambda logits: logits + 2),
    )
    with CrossEncoder(artifact) as ours:
        for function, apply_softmax in itertools.product(functions, (False, True)):
            options: dict[str, Any] = {"activation_fn": function, "apply_softmax": apply_softmax}
            expected, found = theirs.predict(pairs, **options), ours.predict(pairs, **options)
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_allclose(found, expected, atol=1e-5)
        with pytest.raises(
            InputError, match=r"^activation_fn made scores of the shape \(2,\) of logits of the shape \(3, "
        ):
            ours.predict(pairs, activation_fn=lambda logits: logits[:2, 0])
