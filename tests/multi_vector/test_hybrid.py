"""BGE-M3: three kinds of vectors from one graph, against FlagEmbedding's published definition written out in torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from embedrt import HybridEncoder, MultiVectorEncoder, SentenceEncoder, SparseEncoder
from embedrt.errors import InputError

Build = Callable[..., Path]
TEXTS = ["How do I reset my password?", "", "the cat sleeps on the roof " * 20, "忘记密码怎么办", "hello hello world"]


class Original:
    """BGE-M3 as FlagEmbedding runs it, one text at a time."""

    def __init__(self, folder: Path) -> None:
        self.model = SentenceTransformer(str(folder), device="cpu")
        self.colbert = torch.load(folder / "colbert_linear.pt", weights_only=True)
        self.sparse = torch.load(folder / "sparse_linear.pt", weights_only=True)

    def __call__(self, text: str) -> tuple[Any, dict[int, float], Any]:
        tokenizer = self.model.tokenizer
        inputs = tokenizer([text], truncation=True, max_length=self.model.max_seq_length, return_tensors="pt")
        with torch.no_grad():
            hidden = self.model[0].auto_model(**inputs).last_hidden_state[0]
        dense = hidden[0] / hidden[0].norm()
        weights = torch.relu(hidden @ self.sparse["weight"].T + self.sparse["bias"])[:, 0]
        unused = {tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}
        terms: dict[int, float] = {}
        for number, weight in zip(inputs["input_ids"][0].tolist(), weights.tolist(), strict=True):
            if number not in unused and weight > 0:
                terms[number] = max(weight, terms.get(number, 0.0))
        vectors = hidden[1:] @ self.colbert["weight"].T + self.colbert["bias"]
        return dense.numpy(), terms, (vectors / vectors.norm(dim=-1, keepdim=True)).numpy()


def test_each_class_loads_the_same_folder(hybrid_artifact: Path, hybrid_checkpoint: Path) -> None:
    original = Original(hybrid_checkpoint)
    expected = [original(text) for text in TEXTS]
    with (
        SentenceEncoder(hybrid_artifact) as dense,
        SparseEncoder(hybrid_artifact) as sparse,
        MultiVectorEncoder(hybrid_artifact) as multi,
    ):
        np.testing.assert_allclose(dense.encode(TEXTS), np.stack([one[0] for one in expected]), atol=1e-5)
        for found, (_, terms, _) in zip(sparse.encode(TEXTS).to_dicts(), expected, strict=True):
            assert found.keys() == terms.keys()
            np.testing.assert_allclose([found[key] for key in terms], list(terms.values()), atol=1e-5)
        for ours, (_, _, vectors) in zip(multi.encode(TEXTS), expected, strict=True):
            assert ours.shape == vectors.shape
            np.testing.assert_allclose(ours, vectors, atol=1e-5)
        assert multi.similarity_fn_name == "meanmaxsim"


def test_one_run_gives_what_the_classes_give(hybrid_artifact: Path) -> None:
    texts = TEXTS * 3
    with (
        HybridEncoder(hybrid_artifact) as hybrid,
        SentenceEncoder(hybrid_artifact) as dense,
        SparseEncoder(hybrid_artifact) as sparse,
        MultiVectorEncoder(hybrid_artifact) as multi,
    ):
        found = hybrid.encode(texts)
        assert found.dense is not None
        assert found.sparse is not None
        assert found.multi_vector is not None
        np.testing.assert_array_equal(found.dense, dense.encode(texts))
        np.testing.assert_array_equal(found.sparse.to_dense(), sparse.encode(texts).to_dense())
        for one, other in zip(found.multi_vector, multi.encode(texts), strict=True):
            np.testing.assert_array_equal(one, other)


def test_only_what_is_asked_for(hybrid_artifact: Path) -> None:
    with HybridEncoder(hybrid_artifact) as hybrid:
        assert hybrid.kinds == ("dense", "sparse", "multi-vector")
        found = hybrid.encode("hello", sparse=False, multi_vector=False)
        assert (found.dense.shape if found.dense is not None else None, found.sparse, found.multi_vector) == (
            (1, 32),
            None,
            None,
        )
        nothing = hybrid.encode([])
        assert nothing.dense is not None
        assert nothing.sparse is not None
        assert (nothing.dense.shape, nothing.sparse.shape, nothing.multi_vector) == ((0, 32), (0, 144), [])
        with pytest.raises(InputError, match="nothing is asked for"):
            hybrid.encode("hello", dense=False, sparse=False, multi_vector=False)
