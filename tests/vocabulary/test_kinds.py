"""Trimmed checkpoints of the other kinds: their own outputs stay what they are for the given texts."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from embedrt_bench.compatibility.architectures import save_plain
from embedrt_bench.compatibility.cross_encoders import save_cross_encoder
from embedrt_bench.compatibility.multi_vector import save_bge_m3, save_colbert
from embedrt_export.source.loading import load_checkpoint
from embedrt_export.vocabulary import trim
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.cross_encoder.modules import LogitScore
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
from transformers import AutoModelForMaskedLM

from embedrt.errors import CheckpointError

TEXTS = ["How do I reset my password?", "忘记密码怎么办？", "A kitten sleeps on the warm roof, while it is raining."]


@pytest.fixture
def kept_file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name", ["MS-MARCO MiniLM", "BGE reranker", "NLI DeBERTa v3", "Qwen3 with a score", "Qwen3, yes or no"]
)
def test_cross_encoders(tmp_path: Path, kept_file: Path, name: str) -> None:
    folder = save_cross_encoder(name, tmp_path / "checkpoint")
    small, whole = (load_checkpoint(str(folder), kind="cross-encoder") for _ in range(2))
    for module in (*small.model.modules(), *whole.model.modules()):
        if isinstance(module, LogitScore):  # yes, as a piece with many before it that go
            module.true_token_id = len(small.tokenizer) - 1
    made = trim(small, [kept_file], quiet=True)
    assert made.pieces < made.pieces_before
    pairs = [(first, second) for first in TEXTS for second in TEXTS]
    found, expected = (checkpoint.model.predict(pairs) for checkpoint in (small, whole))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)  # a head with fewer columns is another product


def test_late_interaction_skips_the_same_words(tmp_path: Path, kept_file: Path) -> None:
    folder = save_colbert("bert", tmp_path / "checkpoint")
    small, whole = (load_checkpoint(str(folder)) for _ in range(2))
    last = max(small.tokenizer(TEXTS[2])["input_ids"])  # many before it go
    for checkpoint in (small, whole):
        mask = next(module for module in checkpoint.model if isinstance(module, MultiVectorMask))
        mask.skiplist_words = ["?", checkpoint.tokenizer.convert_ids_to_tokens(last)]
        mask.resolve_with_tokenizer(checkpoint.tokenizer)
    trim(small, [kept_file], quiet=True)
    assert small.tokenizer.convert_tokens_to_ids(whole.tokenizer.convert_ids_to_tokens(last)) < last
    for found, expected in zip(small.model.encode_document(TEXTS), whole.model.encode_document(TEXTS), strict=True):
        np.testing.assert_array_equal(found, expected)


def _save_splade(folder: Path, *, router: bool = False) -> Path:
    plain = save_plain("bert", folder.with_name("plain"))
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_pretrained(plain).save_pretrained(plain)
    modules: list[Any] = [Transformer(str(plain), transformer_task="fill-mask"), SpladePooling("max")]
    if router:
        tokenizer = modules[0].tokenizer
        queries = [SparseStaticEmbedding(tokenizer, weight=torch.rand(len(tokenizer)))]
        modules = [Router.for_query_document(query_modules=queries, document_modules=modules)]
    SparseEncoder(modules=modules, device="cpu").save(str(folder))
    return folder


def _dense(vectors: Any) -> npt.NDArray[np.float32]:
    dense: npt.NDArray[np.float32] = vectors.to_dense().numpy()
    return dense


@pytest.mark.filterwarnings("ignore")
def test_sparse_vectors_keep_the_weights_of_the_pieces_that_stay(tmp_path: Path, kept_file: Path) -> None:
    """The masked-LM head has a row a piece; those that go, go from the vectors too."""
    folder = _save_splade(tmp_path / "checkpoint")
    small, whole = (load_checkpoint(str(folder)) for _ in range(2))
    made = trim(small, [kept_file], quiet=True)
    expected = _dense(whole.model.encode(TEXTS))[:, list(made.kept)]
    np.testing.assert_allclose(_dense(small.model.encode(TEXTS)), expected, rtol=0, atol=1e-6)
    assert expected.any()


@pytest.mark.filterwarnings("ignore")
def test_weights_beside_the_transformer_are_refused(tmp_path: Path, kept_file: Path) -> None:
    checkpoint = load_checkpoint(str(_save_splade(tmp_path / "checkpoint", router=True)))
    with pytest.raises(CheckpointError, match="stands in several places"):
        trim(checkpoint, [kept_file], quiet=True)


def test_bge_m3(tmp_path: Path, kept_file: Path) -> None:
    folder = save_bge_m3(tmp_path / "checkpoint")
    small, whole = (load_checkpoint(str(folder), pooling=None) for _ in range(2))
    trim(small, [kept_file], quiet=True)
    np.testing.assert_array_equal(small.model.encode(TEXTS), whole.model.encode(TEXTS))
