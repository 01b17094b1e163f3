"""Sparse checkpoints to artifacts: the vectors are those of sentence-transformers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from embedrt_export.kinds import KINDS
from embedrt_export.modules import sparse as sparse_module
from embedrt_export.source.kind_of import kind_of
from embedrt_export.source.loading import load_checkpoint
from sentence_transformers import SparseEncoder as Original
from sentence_transformers.base.modules import Normalize
from sentence_transformers.sparse_encoder.modules import SpladePooling
from transformers import BertForMaskedLM

from embedrt.artifact.manifest import Manifest
from embedrt.errors import CheckpointError
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


@pytest.fixture(scope="module", params=[("max", "relu"), ("sum", "log1p_relu")], ids=" ".join)
def splade_both(
    request: pytest.FixtureRequest, build_splade: Build, export_to: Build, splade: Path, splade_artifact: Path
) -> tuple[Path, Path]:
    """Checkpoint and artifact."""
    if request.param[0] == "max":
        return splade, splade_artifact
    checkpoint = build_splade(*request.param)
    return checkpoint, export_to(checkpoint)


def test_splade(splade_both: tuple[Path, Path]) -> None:
    checkpoint, artifact = splade_both
    manifest = Manifest.from_json((artifact / "embedrt.json").read_bytes())
    original = Original(str(checkpoint), device="cpu")
    assert manifest.variants["fp32"].parity.max_abs_difference < 1e-5
    assert manifest.variants["fp32"].attention == "operator"
    assert manifest.serving.pooling == (original[1].pooling_strategy,)
    with SparseEncoder(artifact, variant="fp32", threads=2) as encoder:
        crowd = [f"{text[:40]} word{number}" for number in range(30) for text in TEXTS]
        found, several = encoder.encode(TEXTS), encoder.encode([*crowd, *TEXTS])
        alone = [encoder.encode(text) for text in TEXTS]
    np.testing.assert_allclose(found.to_dense(), expected(original, TEXTS), atol=1e-5)
    np.testing.assert_array_equal(np.stack([vector.to_dense() for vector in alone]), found.to_dense())
    np.testing.assert_array_equal(several[-len(TEXTS) :].to_dense(), found.to_dense())
    assert 10 < SparseEncoder.sparsity(found)["active_dims"] < 120


@pytest.mark.parametrize("whole", [False, True], ids=["blocks", "finished logits"])
@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
@pytest.mark.parametrize("strategy", ["max", "sum"])
def test_pooling(masked_lm: Path, strategy: Any, activation: Any, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module that is traced beside sentence-transformers': padded on either side, the vocabulary in several blocks."""
    monkeypatch.setattr(sparse_module, "_BLOCK", 64)
    model = BertForMaskedLM.from_pretrained(masked_lm).eval()
    if whole:
        monkeypatch.setattr(sparse_module, "_split", lambda transformer: (transformer, None))
    module = sparse_module.SpladeModule(model, SpladePooling(strategy, activation)).eval()
    assert len(module.head.blocks) == (0 if whole else -(-model.config.vocab_size // 64))
    torch.manual_seed(5)
    ids = torch.randint(5, model.config.vocab_size, (3, 9))
    mask = torch.tensor([[1] * 9, [1] * 4 + [0] * 5, [0] * 6 + [1] * 3])
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits
        features = {"token_embeddings": logits.clone(), "attention_mask": mask}
        wanted = SpladePooling(strategy, activation).eval()(features)["sentence_embedding"]
        np.testing.assert_allclose(module(ids, mask).numpy(), wanted.numpy(), atol=1e-5)


def test_a_head_that_cannot_be_cut_is_taken_whole(masked_lm: Path) -> None:
    """What stands behind the last product changes the logits, so that product is not all of it."""
    model = BertForMaskedLM.from_pretrained(masked_lm).eval()
    assert sparse_module._split(model)[1] is model.get_output_embeddings()
    model.register_forward_hook(lambda _module, _inputs, output: setattr(output, "logits", output.logits * 2))
    assert sparse_module._split(model) == (model, None)


def test_inference_free_in_one_folder(inference_free: Path, inference_free_artifact: Path) -> None:
    """Queries by fixed weights, documents by the graph, and the router's default for texts that are neither."""
    artifact, original = inference_free_artifact, Original(str(inference_free), device="cpu")
    some = [text for text in TEXTS if text]  # sentence-transformers cannot encode a query without any token
    long = "a cat sleeps on the roof in rain and light of the house and tree " * 2  # cut at 12 tokens, documents at 24
    with SparseEncoder(artifact) as encoder:
        for name in ("encode_query", "encode_document", "encode"):
            found = getattr(encoder, name)([*some, long]).to_dense()
            wanted = getattr(original, name)([*some, long], batch_size=1, convert_to_sparse_tensor=False).numpy()
            np.testing.assert_allclose(found, wanted, atol=1e-5, err_msg=name)
        queries = encoder.encode_query(["rain rain river", "", "how"])
        assert queries.counts.tolist() == [2, 0, 1]  # a term counts once, and an empty query has none
        assert encoder.encode_query("how").to_dict() == queries[2].to_dict()
    described = Manifest.from_json((artifact / "embedrt.json").read_bytes())
    assert described.serving.sparse is not None
    assert described.serving.sparse.query_weights in described.files


def test_queries_alone(inference_free: Path, export_to: Build) -> None:
    """A graph without a transformer: each token's weight, once."""
    artifact, original = export_to(inference_free, route="query"), Original(str(inference_free), device="cpu")
    texts = [*(text for text in TEXTS if text), "rain river rain rain"]
    with SparseEncoder(artifact) as encoder:
        assert encoder.max_seq_length == 12
        for found in (encoder.encode(texts), encoder.encode_query(texts), encoder.encode_document(texts)):
            np.testing.assert_allclose(found.to_dense(), expected(original, texts, task="query"), atol=1e-5)
        assert encoder.encode(["", "a"])[0].to_dict() == {}


def test_auto_encoder(auto_encoder: Path, export_to: Build) -> None:
    """It keeps so many latents as the checkpoint says, or as the caller says, be that more or fewer."""
    artifact, original = export_to(auto_encoder), Original(str(auto_encoder), device="cpu")
    with SparseEncoder(artifact) as encoder:
        assert encoder.max_active_dims == 8
        for most in (None, 3, 20):
            found = encoder.encode(TEXTS, max_active_dims=most)
            np.testing.assert_allclose(found.to_dense(), expected(original, TEXTS, max_active_dims=most), atol=1e-5)
            assert max(found.counts) <= (most or 8)


def test_plain_masked_lm(masked_lm: Path) -> None:
    """``--kind sparse`` on what transformers saved: sentence-transformers' own default, maximum pooling of the masked-LM head."""
    assert kind_of(masked_lm) == "dense"
    checkpoint = load_checkpoint(str(masked_lm), kind="sparse")
    module: Any = KINDS["sparse"].build(checkpoint, False)
    serving = KINDS["sparse"].serving(checkpoint)
    assert (serving.kind, serving.pooling, serving.dimension) == (
        "sparse",
        ("max",),
        checkpoint.transformer.config.vocab_size,
    )
    ids = torch.tensor(checkpoint.tokenizer([TEXTS[0]])["input_ids"])
    wanted = expected(Original(str(masked_lm), device="cpu"), TEXTS[:1])
    with torch.no_grad():
        np.testing.assert_allclose(module(ids, torch.ones_like(ids)).numpy(), wanted, atol=1e-5)


def test_prompts_and_pruning_of_the_checkpoint(build_splade: Build, export_to: Build) -> None:
    options = {
        "prompts": {"query": "how do i ", "passage": "the "},
        "max_active_dims": 5,
        "similarity_fn_name": "cosine",
    }
    checkpoint = build_splade(**options)
    artifact, original = export_to(checkpoint), Original(str(checkpoint), device="cpu")
    with SparseEncoder(artifact) as encoder:
        for name in ("encode", "encode_query", "encode_document"):
            found = getattr(encoder, name)(TEXTS)
            wanted = getattr(original, name)(TEXTS, batch_size=1, convert_to_sparse_tensor=False)
            np.testing.assert_allclose(found.to_dense(), wanted.numpy(), atol=1e-5, err_msg=name)
        np.testing.assert_allclose(
            encoder.similarity(found, found), original.similarity(wanted, wanted).numpy(), atol=1e-5
        )


def test_a_dense_checkpoint_is_no_sparse_one(auto_encoder: Path, export_to: Build, tmp_path: Path) -> None:
    """sentence-transformers would put an auto-encoder of random weights behind it."""
    from sentence_transformers import SentenceTransformer

    model = Original(str(auto_encoder), device="cpu")
    SentenceTransformer(modules=[model[0], model[1]], device="cpu").save(str(tmp_path / "dense"))
    with pytest.raises(CheckpointError, match="no sparse encoder: it has no masked-LM head"):
        export_to(tmp_path / "dense", kind="sparse")


def test_other_modules_are_refused(auto_encoder: Path, export_to: Build, tmp_path: Path) -> None:
    model = Original(str(auto_encoder), device="cpu")
    Original(modules=[model[0], model[1], model[2], Normalize()], device="cpu").save(str(tmp_path / "odd"))
    with pytest.raises(CheckpointError, match="of sparse encoders the exporter takes Transformer"):
        export_to(tmp_path / "odd")


def test_an_auto_encoder_that_keeps_more_than_its_module(auto_encoder: Path, export_to: Build, tmp_path: Path) -> None:
    """``max_active_dims`` of the checkpoint stands above the module's k, as in sentence-transformers."""
    original = Original(str(auto_encoder), device="cpu", max_active_dims=20)
    original.save(str(tmp_path / "checkpoint"))
    assert Original(str(tmp_path / "checkpoint"), device="cpu").max_active_dims == 20
    with SparseEncoder(export_to(tmp_path / "checkpoint")) as encoder:
        assert encoder.max_active_dims == 20
        found = encoder.encode(TEXTS)
        np.testing.assert_allclose(found.to_dense(), expected(original, TEXTS), atol=1e-5)
        assert max(found.counts) > 8
