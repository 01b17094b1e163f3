"""Sparse checkpoints to artifacts: the vectors are those of sentence-transformers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SparseEncoder as Original

from embedrt.manifest import Manifest
from embedrt.sparse_encoder import SparseEncoder

Build = Callable[..., Path]
TEXTS = [
    "how do i reset my password ?",
    "",
    "the cat sleeps on the roof",
    "忘记密码怎么办",
    "rain " * 60,
    "a",
    "the kingdom of light and water was in the house . " * 4,
]


def expected(model: Original, texts: list[str], **options: Any) -> Any:
    return model.encode(texts, batch_size=1, convert_to_sparse_tensor=False, **options).numpy()


@pytest.mark.parametrize("strategy", ["max", "sum"])
@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
def test_splade(build_splade: Build, exported: Build, strategy: str, activation: str) -> None:
    checkpoint = build_splade(strategy, activation)
    artifact = exported(checkpoint)
    manifest = Manifest.from_json((artifact / "embedrt.json").read_bytes())
    assert manifest.variants["fp32"].parity.max_abs_difference < 1e-5
    assert manifest.variants["fp32"].attention == "operator"
    assert manifest.serving.pooling == (strategy,)
    with SparseEncoder(artifact) as encoder:
        found = encoder.encode(TEXTS)
    wanted = expected(Original(str(checkpoint), device="cpu"), TEXTS)
    np.testing.assert_allclose(found.to_dense(), wanted, atol=1e-5)
    assert 10 < SparseEncoder.sparsity(found)["active_dims"] < 120
