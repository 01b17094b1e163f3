"""Sparse checkpoints to artifacts: the vectors are those of sentence-transformers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SparseEncoder as Original
from sentence_transformers.base.modules import Normalize

from embedrt.errors import CheckpointError
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


def test_inference_free_in_one_folder(inference_free: Path, exported: Build) -> None:
    """Queries by fixed weights, documents by the graph, and the router's default for texts that are neither."""
    artifact, original = exported(inference_free), Original(str(inference_free), device="cpu")
    some = [text for text in TEXTS if text]  # sentence-transformers cannot encode a query without any token
    long = "king river stone " * 20  # cut at 12 tokens, where documents are cut at 24
    with SparseEncoder(artifact) as encoder:
        for name in ("encode_query", "encode_document", "encode"):
            found = getattr(encoder, name)([*some, long]).to_dense()
            wanted = getattr(original, name)([*some, long], batch_size=1, convert_to_sparse_tensor=False).numpy()
            np.testing.assert_allclose(found, wanted, atol=1e-5, err_msg=name)
        queries = encoder.encode_query(["rain rain river", "", "how"])
        assert [len(row) for row in queries.to_dicts()] == [2, 0, 1]  # a term counts once, and an empty query has none
        assert encoder.encode_query("how").to_dict() == queries[2].to_dict()
    described = Manifest.from_json((artifact / "embedrt.json").read_bytes())
    assert described.serving.sparse is not None
    assert described.serving.sparse.query_weights in described.files


@pytest.mark.parametrize("route", ["query", "document"])
def test_one_route(inference_free: Path, exported: Build, route: str) -> None:
    artifact, original = exported(inference_free, route=route), Original(str(inference_free), device="cpu")
    texts = [text for text in TEXTS if text]
    wanted = expected(original, texts, task=route)
    with SparseEncoder(artifact) as encoder:
        for found in (encoder.encode(texts), encoder.encode_query(texts), encoder.encode_document(texts)):
            np.testing.assert_allclose(found.to_dense(), wanted, atol=1e-5)


def test_auto_encoder(auto_encoder: Path, exported: Build) -> None:
    """It keeps so many latents as the checkpoint says, or as the caller says, be that more or fewer."""
    artifact, original = exported(auto_encoder), Original(str(auto_encoder), device="cpu")
    with SparseEncoder(artifact) as encoder:
        assert encoder.max_active_dims == 8
        for most in (None, 3, 20):
            found = encoder.encode(TEXTS, max_active_dims=most)
            np.testing.assert_allclose(found.to_dense(), expected(original, TEXTS, max_active_dims=most), atol=1e-5)
            assert max(found.counts) <= (most or 8)


def test_plain_masked_lm(masked_lm: Path, exported: Build) -> None:
    artifact, original = exported(masked_lm, kind="sparse"), Original(str(masked_lm), device="cpu")
    with SparseEncoder(artifact) as encoder:
        np.testing.assert_allclose(encoder.encode(TEXTS).to_dense(), expected(original, TEXTS), atol=1e-5)


def test_prompts_and_pruning_of_the_checkpoint(build_splade: Build, exported: Build) -> None:
    options = {
        "prompts": {"query": "how do i ", "passage": "the "},
        "max_active_dims": 5,
        "similarity_fn_name": "cosine",
    }
    checkpoint = build_splade(**options)
    artifact, original = exported(checkpoint), Original(str(checkpoint), device="cpu")
    with SparseEncoder(artifact) as encoder:
        for name in ("encode", "encode_query", "encode_document"):
            found = getattr(encoder, name)(TEXTS)
            wanted = getattr(original, name)(TEXTS, batch_size=1, convert_to_sparse_tensor=False)
            np.testing.assert_allclose(found.to_dense(), wanted.numpy(), atol=1e-5, err_msg=name)
        np.testing.assert_allclose(
            encoder.similarity(found, found), original.similarity(wanted, wanted).numpy(), atol=1e-5
        )


def test_a_dense_checkpoint_is_no_sparse_one(auto_encoder: Path, exported: Build, tmp_path: Path) -> None:
    """sentence-transformers would put an auto-encoder of random weights behind it."""
    from sentence_transformers import SentenceTransformer

    model = Original(str(auto_encoder), device="cpu")
    SentenceTransformer(modules=[model[0], model[1]], device="cpu").save(str(tmp_path / "dense"))
    with pytest.raises(CheckpointError, match="no sparse encoder: it has no masked-LM head"):
        exported(tmp_path / "dense", kind="sparse")


def test_other_modules_are_refused(auto_encoder: Path, exported: Build, tmp_path: Path) -> None:
    model = Original(str(auto_encoder), device="cpu")
    Original(modules=[model[0], model[1], model[2], Normalize()], device="cpu").save(str(tmp_path / "odd"))
    with pytest.raises(CheckpointError, match="of sparse encoders the exporter takes Transformer"):
        exported(tmp_path / "odd")
