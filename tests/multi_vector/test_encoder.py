"""MultiVectorEncoder against sentence-transformers' class of the same name, over checkpoints of every layout."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from embedrt_export.quantization import QuantizeOptions
from sentence_transformers import MultiVectorEncoder as Original
from sentence_transformers.base.modules import Normalize
from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling, MultiVectorMask

from embedrt import HybridEncoder, MultiVectorEncoder, SentenceEncoder
from embedrt.errors import CheckpointError, InputError, KindError
from embedrt.multi_vector.roles import Role

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


def test_attended_expansion_and_mean_maxsim(build_colbert: Build, export_to: Build) -> None:
    expansion = {"strategy": "min", "attend": True, "length": 10}
    checkpoint = build_colbert(query_expansion=expansion, document_length=20, similarity="meanmaxsim")
    artifact = export_to(checkpoint)
    _assert_faithful(artifact, checkpoint)
    with MultiVectorEncoder(artifact, threads=1) as encoder:
        assert encoder.similarity_fn_name == "meanmaxsim"


def test_stanford_folder(stanford: Path, export_to: Build) -> None:
    _assert_faithful(export_to(stanford), stanford)


@pytest.mark.parametrize(
    "settings",
    [
        {"model_type": "ColBERT"},
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"do_query_expansion": False, "model_type": "ColBERT"}, marks=pytest.mark.slow),
    ],
    ids=["named", "unnamed", "without expansion"],
)
def test_pylate_folder(pylate: Build, export_to: Build, settings: dict[str, Any]) -> None:
    checkpoint = pylate(**settings)
    _assert_faithful(export_to(checkpoint), checkpoint)


TOKENS_EACH = [*TEXTS, "a cat", "the man is playing the guitar on the roof", "use the link"] * 5


@pytest.fixture(scope="module")
def int8(colbert: Path, export_to: Build) -> Path:
    return export_to(
        colbert, precisions=["int8", "int8-static"], quantize_options=QuantizeOptions(allow_below_gate=True)
    )


@pytest.mark.parametrize("variant", ["fp32", "int8", "int8-static"])
@pytest.mark.parametrize("role", ["query", "document"])
def test_neighbors_change_no_bit(int8: Path, variant: str, role: Role) -> None:
    with MultiVectorEncoder(int8, variant=variant, threads=2) as encoder:
        together = encoder.encode(TOKENS_EACH, task=role)
        for size in (1, 3):
            _assert_bits(encoder.encode(TOKENS_EACH, task=role, batch_size=size), together)
        alone = [encoder.encode(text, task=role) for text in TOKENS_EACH]
        _assert_bits(alone, together)
        twice = encoder.encode([*TOKENS_EACH, *TOKENS_EACH], task=role)  # equal ones run once
        _assert_bits(twice, [*together, *together])
        _assert_bits(encoder.encode(TOKENS_EACH[::-1], task=role)[::-1], together)


def _assert_bits(found: Arrays, expected: Arrays) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_shapes_and_types_of_what_comes(artifact: Path) -> None:
    with MultiVectorEncoder(artifact) as encoder:
        one, several = encoder.encode_document("hello world"), encoder.encode_document(["hello world"])
        assert encoder.encode_document("hello world", prompt="").shape == (4, 16)  # with [CLS] and [SEP]
        assert one.dtype == np.float32
        _assert_bits(several, [one])
        assert encoder.encode_query([]) == encoder.encode([]) == []
        assert encoder.encode_query("hello").shape == (12, 16)
        assert encoder.similarity(encoder.encode_query("hello"), several).shape == (1, 1)
        np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, rtol=1e-5)
        assert all(vectors.base is None for vectors in several)
        assert encoder.get_embedding_dimension() == 16
        assert (encoder.query_length, encoder.document_length, encoder.max_seq_length) == (12, 30, 40)
        assert "query_length=12, document_length=30" in repr(encoder)


def test_texts_as_they_are_read(artifact: Path) -> None:
    with MultiVectorEncoder(artifact) as encoder:
        expected = encoder.encode_document(TEXTS)
        _assert_bits(list(encoder.encode_iter(iter(TEXTS))), expected)
        _assert_bits(list(encoder.encode_iter(TEXTS, task="query")), encoder.encode_query(TEXTS))
        with pytest.raises(TypeError, match="expected several texts"):
            encoder.encode_iter("text")
        with pytest.raises(InputError, match=r"^task is 'qeury', expected one of query, document, or None$"):
            encoder.encode_iter(TEXTS, task="qeury")  # type: ignore[arg-type]


def test_prompts_by_name_and_in_words(artifact: Path) -> None:
    with MultiVectorEncoder(artifact) as encoder:
        marked = encoder.encode_document(TEXTS)
        _assert_bits(encoder.encode(TEXTS, prompt_name="document", task="document"), marked)
        _assert_bits(encoder.encode_document(TEXTS, prompt="[unused1] "), marked)
        assert encoder.encode_document("hello", prompt="").shape == (3, 16)
        with pytest.raises(InputError, match="prompt_name is 'passage'"):
            encoder.encode(TEXTS, prompt_name="passage")


def test_rank(artifact: Path) -> None:
    documents = ["the cat sleeps", "use the link", "hello"]
    with MultiVectorEncoder(artifact) as encoder:
        scores = encoder.similarity(encoder.encode_query("hello"), encoder.encode_document(documents))[0]
        found = encoder.rank("hello", documents)
        assert [one["corpus_id"] for one in found] == np.argsort(-scores).tolist()
        np.testing.assert_array_equal([one["score"] for one in found], np.sort(scores)[::-1])
        best = encoder.rank("hello", documents, top_k=1, return_documents=True)
        assert best == [{**found[0], "text": documents[found[0]["corpus_id"]]}]
        assert encoder.rank("hello", []) == []
        arrayed = encoder.rank("hello", np.array(documents), top_k=1, return_documents=True)
        assert (arrayed, type(arrayed[0]["text"])) == (best, str)
        with pytest.raises(TypeError, match=r"^documents\[1\] is a int \(3\), expected a str$"):
            encoder.rank("hello", ["a", 3])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda encoder: encoder.encode(3), TypeError, "is a int, expected a str or a list of str"),
        (lambda encoder: encoder.encode_query(["a", None]), TypeError, r"\[1\] is a NoneType"),
        (
            lambda encoder: encoder.encode("a", task="passage"),
            InputError,
            "task is 'passage', expected one of query, document",
        ),
        (lambda encoder: encoder.encode("a", batch_size=0), InputError, "batch_size is 0"),
        (lambda encoder: encoder.encode_query("a", convert_to_numpy=False), InputError, "tensors were asked for"),
        (lambda encoder: encoder.rank("a", ["b"], top_k=0), InputError, "top_k is 0"),
        (lambda encoder: encoder.rank("a", "b"), TypeError, "documents is a str"),
        (lambda encoder: encoder.rank(["a"], ["b"]), TypeError, "query is a list"),
        (lambda encoder: encoder.similarity("a", "b"), TypeError, "queries is a str"),
    ],
)
def test_bad_input(
    artifact: Path, call: Callable[[MultiVectorEncoder], object], error: type[Exception], message: str
) -> None:
    with MultiVectorEncoder(artifact) as encoder, pytest.raises(error, match=message):
        call(encoder)


def test_half_a_surrogate_pair_is_named_by_its_place_among_all_texts(
    artifact: Path, hybrid_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedrt.inference.runner._WINDOW", 4)
    texts = [*"abcdefghi", "\ud83d", "j"]
    with MultiVectorEncoder(artifact) as encoder, HybridEncoder(hybrid_artifact) as hybrid:
        for call in (encoder.encode, lambda texts: encoder.rank("a", texts), hybrid.encode):
            with pytest.raises(InputError, match=r"^sentences\[9\] holds half of a surrogate pair"):
                call(texts)


def test_a_closed_encoder(artifact: Path) -> None:
    encoder = MultiVectorEncoder(artifact)
    encoder.close()
    with pytest.raises(InputError, match="was closed"):
        encoder.encode("text")


def test_lengths_and_widths_that_it_has_not(artifact: Path) -> None:
    with pytest.raises(
        InputError, match=r"^max_seq_length is 41, and the artifact reads 40 tokens of a text: pass fewer$"
    ):
        MultiVectorEncoder(artifact, max_seq_length=41)  # the exporter takes no other length for such a model
    with (
        MultiVectorEncoder(artifact) as encoder,
        pytest.raises(AttributeError, match="where a SentenceEncoder is opened"),
    ):
        encoder.truncate_dim = 4  # type: ignore[attr-defined]


def test_the_right_class_is_named(artifact: Path, tiny: Path) -> None:
    with pytest.raises(KindError, match="load it with MultiVectorEncoder"):
        SentenceEncoder(artifact)
    with pytest.raises(KindError, match="load it with SentenceEncoder"):
        MultiVectorEncoder(tiny)
    with pytest.raises(
        KindError, match="is a multi-vector model and gives nothing else: load it with MultiVectorEncoder"
    ):
        HybridEncoder(artifact)


def test_several_threads_share_an_encoder(artifact: Path) -> None:
    with MultiVectorEncoder(artifact, threads=2) as encoder, ThreadPoolExecutor(6) as pool:
        expected = [encoder.encode_query(TEXTS), encoder.encode_document(TEXTS)]
        calls = [pool.submit((encoder.encode_query, encoder.encode_document)[turn % 2], TEXTS) for turn in range(24)]
        for turn, call in enumerate(calls):
            _assert_bits(call.result(), expected[turn % 2])


def test_no_torch_where_it_runs(artifact: Path, hybrid_artifact: Path, run_python: Callable[..., Any]) -> None:
    code = """
import sys
from embedrt import HybridEncoder, MultiVectorEncoder
encoder = MultiVectorEncoder(sys.argv[1])
print(encoder.rank("hello", ["hello world"])[0]["corpus_id"], len(HybridEncoder(sys.argv[2]).encode("hello").dense))
print(sorted({"torch", "transformers", "sentence_transformers", "onnx", "scipy"} & set(sys.modules)))
"""
    ended = run_python(code, artifact, hybrid_artifact)
    assert ended.stdout == "0 1\n[]\n", ended.stderr


def test_modules_that_are_refused(build_colbert: Build, export_to: Build) -> None:
    pooled = [Normalize(module_input_name="token_embeddings"), MultiVectorMask(), HierarchicalTokenPooling(2.0)]
    with pytest.raises(CheckpointError, match="HierarchicalTokenPooling with pool_factor 2, which merges vectors"):
        export_to(build_colbert(modules=pooled))
    with pytest.raises(CheckpointError, match="leave out --token-embeddings"):
        export_to(build_colbert(), token_embeddings=True)


def test_int8_says_how_faithful_it_is(int8: Path) -> None:
    variants = json.loads((int8 / "embedrt.json").read_text(encoding="utf-8"))["variants"]
    for precision in ("int8", "int8-static"):
        parity = variants[precision]["parity"]
        assert 0.9 < parity["cosine_mean"] < 1
        assert 0.9 < parity["measures"]["maxsim_rank_correlation"] <= 1
