"""BGE-M3: three kinds of vectors from one graph, against FlagEmbedding's published definition written out in torch."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import pytest
import torch
from embedrt_export.quantization import QuantizeOptions
from sentence_transformers import SentenceTransformer

from embedrt import HybridEncoder, HybridVectors, MultiVectorEncoder, SentenceEncoder, SparseEncoder
from embedrt.errors import CheckpointError, InputError, KindError
from embedrt.inference.session import GraphSession

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
    texts = [*TEXTS, *(f"{text[:30]} cat" for text in TEXTS), *TEXTS]
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


def test_each_class_runs_its_own_part_only(hybrid_artifact: Path, tmp_path: Path) -> None:
    graph, ids = hybrid_artifact / "onnx" / "model.onnx", np.array([[0, 5, 6, 2]])
    ran = {}
    for name in ("sentence_embedding", "token_weights", "token_embeddings", None):
        session = GraphSession(graph, outputs=None if name is None else (name,), profile_prefix=tmp_path / str(name))
        session.run(ids, np.ones_like(ids), outputs=session.outputs if name is None else (name,))
        events = json.loads(session.end_profiling().read_text(encoding="utf-8"))
        ran[name] = sum(event.get("cat") == "Node" and event["name"].endswith("_kernel_time") for event in events)
    assert max(ran["sentence_embedding"], ran["token_weights"], ran["token_embeddings"]) < ran[None]
    with SentenceEncoder(hybrid_artifact) as dense, SparseEncoder(hybrid_artifact) as sparse:
        assert dense._opened.session.outputs == ["sentence_embedding"]
        assert sparse._opened.session.outputs == sparse._opened.single().outputs == ["token_weights"]


def test_asking_for_fewer_outputs_of_a_whole_graph_saves_nothing(hybrid_artifact: Path, tmp_path: Path) -> None:
    """Why outputs are taken out: should ONNX Runtime learn to leave nodes out, this fails, and loading can be simpler."""
    ids, ran = np.array([[0, 5, 6, 2]]), []
    for wanted in (("sentence_embedding",), ("sentence_embedding", "token_weights", "token_embeddings")):
        session = GraphSession(hybrid_artifact / "onnx" / "model.onnx", profile_prefix=tmp_path / str(len(wanted)))
        session.run(ids, np.ones_like(ids), outputs=wanted)
        events = json.loads(session.end_profiling().read_text(encoding="utf-8"))
        ran.append(sum(event.get("cat") == "Node" and event["name"].endswith("_kernel_time") for event in events))
    assert ran[0] == ran[1]


def test_token_vectors_of_the_dense_class_are_not_mistaken(hybrid_artifact: Path) -> None:
    with SentenceEncoder(hybrid_artifact) as dense, pytest.raises(InputError, match="load it with MultiVectorEncoder"):
        dense.encode("hello", output_value="token_embeddings")


def test_a_model_with_one_head(hybrid_checkpoint: Path, export_to: Build, tmp_path: Path) -> None:
    shutil.copytree(hybrid_checkpoint, tmp_path / "sparse-only")
    (tmp_path / "sparse-only" / "colbert_linear.pt").unlink()
    artifact = export_to(tmp_path / "sparse-only")
    with pytest.raises(KindError, match="load it with SentenceEncoder or SparseEncoder"):
        MultiVectorEncoder(artifact)
    with HybridEncoder(artifact) as hybrid, SparseEncoder(artifact) as sparse:
        found = hybrid.encode(TEXTS, dense=False, multi_vector=False)
        assert found.sparse is not None
        np.testing.assert_array_equal(found.sparse.to_dense(), sparse.encode(TEXTS).to_dense())
        with pytest.raises(InputError, match="no multi-vector ones: pass multi_vector=False"):
            hybrid.encode(TEXTS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no such file", "is not a file that torch saved"),
        (
            {"weight": torch.ones(1, 7)},
            r"a weight of \(1, 7\), expected a linear layer's state with a weight of \(1, 32\)",
        ),
        ({"bias": torch.ones(1)}, "no `weight`"),
        ([torch.ones(1)], "no `weight`"),
    ],
)
def test_a_head_that_is_none(hybrid_checkpoint: Path, tmp_path: Path, content: Any, message: str) -> None:
    shutil.copytree(hybrid_checkpoint, tmp_path / "broken")
    path = tmp_path / "broken" / "sparse_linear.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match=message):
        embedrt_export.export(str(tmp_path / "broken"), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


def test_verify_knows_what_it_verifies(hybrid_artifact: Path, hybrid_checkpoint: Path) -> None:
    _, parity = embedrt_export.verify(hybrid_artifact, against=str(hybrid_checkpoint), quiet=True)
    assert parity.max_abs_difference < 1e-5
    assert set(parity.measures) == {"token_weights_max_abs_difference", "token_vectors_max_abs_difference"}


@pytest.fixture(scope="module")
def int8(hybrid_checkpoint: Path, export_to: Build) -> Path:
    return export_to(hybrid_checkpoint, precisions=["int8"], quantize_options=QuantizeOptions(allow_below_gate=True))


def _parts(found: HybridVectors) -> tuple[Any, Any, Any]:
    return found.dense, found.sparse, found.multi_vector


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_neighbors_change_no_bit(int8: Path, variant: str) -> None:
    crowd = [f"{text[:30]} {word}" for word in ("cat", "roof", "hello", "猫") for text in TEXTS]
    with HybridEncoder(int8, variant=variant, threads=2) as hybrid:
        together = hybrid.encode([*TEXTS, *crowd])
        for at, text in enumerate(TEXTS):
            alone = hybrid.encode(text)
            (dense, sparse, tokens), (all_dense, all_sparse, all_tokens) = _parts(alone), _parts(together)
            np.testing.assert_array_equal(dense[0], all_dense[at])
            assert sparse[0].to_dict() == all_sparse[at].to_dict()
            np.testing.assert_array_equal(tokens[0], all_tokens[at])


def test_int8_is_measured_on_all_three(int8: Path) -> None:
    content = json.loads((int8 / "embedrt.json").read_text(encoding="utf-8"))["variants"]["int8"]
    measures = content["parity"]["measures"]
    assert set(measures) == {
        *("token_cosine_mean", "token_cosine_min", "term_cosine_mean", "top_terms_overlap", "maxsim_rank_correlation"),
    }
    assert all(0.9 < value <= 1 for value in measures.values())
    products = content["quantization"]["products"]
    assert products["static"] + products["row"] == 2 * 6 + 1  # of two layers, and of the late-interaction head alone


def test_the_card_tells_of_every_class(hybrid_artifact: Path, artifact: Path) -> None:
    card = (hybrid_artifact / "README.md").read_text(encoding="utf-8")
    assert "with `SentenceEncoder`, `SparseEncoder`, `MultiVectorEncoder`,\nor with `HybridEncoder`" in card
    assert "HybridEncoder" not in (artifact / "README.md").read_text(encoding="utf-8")
