"""MultiVectorEncoder against sentence-transformers' class of the same name, over checkpoints of every layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sentence_transformers import MultiVectorEncoder as Original
from sentence_transformers.base.modules import Normalize
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

from embedrt import MultiVectorEncoder

TEXTS = [
    "How do I reset my password?",
    "",
    "the cat sleeps on the roof. " * 12,
    "忘记密码怎么办",
    "a man, playing: guitar!",
    ". ? !",
    "hello world",
]
Build = Callable[..., Path]
Arrays = list[npt.NDArray[np.float32]]


def _assert_same(found: Arrays, expected: Arrays, tolerance: float = 1e-5) -> None:
    assert [one.shape for one in found] == [one.shape for one in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance, rtol=0)


def _assert_faithful(artifact: Path, checkpoint: Path) -> None:
    original = Original(str(checkpoint), device="cpu")
    with MultiVectorEncoder(artifact, threads=1) as encoder:
        for ours, theirs in (
            (encoder.encode_query, original.encode_query),
            (encoder.encode_document, original.encode_document),
            (encoder.encode, original.encode),
        ):
            expected = [theirs([text], convert_to_numpy=True, show_progress_bar=False)[0] for text in TEXTS]
            _assert_same(ours(TEXTS), expected)


def test_expanded_queries_and_skipped_punctuation(artifact: Path, colbert: Path) -> None:
    _assert_faithful(artifact, colbert)


@pytest.mark.parametrize(
    "settings",
    [
        {"query_expansion": {"strategy": "fixed", "attend": True, "length": 10}, "document_length": 20},
        {"query_expansion": {"strategy": "min", "attend": False, "length": 9}},
        {"query_expansion": {"strategy": "min", "length": 9, "token": "hello"}, "query_length": 14},
        {"query_length": 8, "document_length": 50},
        {
            "mask": MultiVectorMask(["cat"], skiplist_tasks=["query", "document"]),
            "query_expansion": {"strategy": "fixed", "length": 12},
        },
        {"mask": MultiVectorMask(keep_only_token_ids=[20, 21, 22])},
        {"modules": [], "query_expansion": {"strategy": "fixed", "length": 12}},
        {
            "modules": [Normalize(module_input_name="token_embeddings")],
            "query_expansion": {"strategy": "fixed", "attend": True, "length": 12},
        },
        {"similarity": "meanmaxsim"},
    ],
    ids=[
        "attended",
        "min",
        "min and token",
        "lengths",
        "skipped in queries",
        "kept only",
        "no mask",
        "no mask, attended",
        "mean",
    ],
)
def test_settings(build_colbert: Build, export_to: Build, settings: dict[str, Any]) -> None:
    checkpoint = build_colbert(**settings)
    artifact = export_to(checkpoint)
    _assert_faithful(artifact, checkpoint)
    with MultiVectorEncoder(artifact, threads=1) as encoder:
        assert encoder.similarity_fn_name == Original(str(checkpoint), device="cpu").similarity_fn_name


def test_stanford_folder(stanford: Path, export_to: Build) -> None:
    _assert_faithful(export_to(stanford), stanford)


@pytest.mark.parametrize(
    "settings", [{}, {"model_type": "ColBERT"}, {"do_query_expansion": False, "model_type": "ColBERT"}]
)
def test_pylate_folder(pylate: Build, export_to: Build, settings: dict[str, Any]) -> None:
    checkpoint = pylate(**settings)
    _assert_faithful(export_to(checkpoint), checkpoint)
