"""SentenceEncoder: vectors against numpy, the same bits in any company, and every way to load a model."""

import json
import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedrt import SentenceEncoder
from embedrt.artifact.manifest import Serving
from embedrt.errors import InputError
from embedrt.inference import runner

Write = Callable[..., Path]
Reference = Callable[..., npt.NDArray[np.float32]]
TEXTS = [
    "",
    "hello",
    "How do I reset my password?",
    "忘记密码怎么办？",
    "a cat sat on the mat. " * 9,
    "zebra",
    "cat",
    "HELLO",
]
ANY_TEXTS = st.lists(
    st.lists(st.sampled_from(["cat", "hello", "猫", "?", "unheard"]), max_size=20).map(" ".join)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("batch_size", [None, 1, 2, 100])
def test_vectors_are_those_of_numpy(
    encoder: SentenceEncoder, tiny: Path, reference: Reference, batch_size: int | None
) -> None:
    found = encoder.encode(TEXTS, batch_size=batch_size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(tiny, TEXTS), rtol=1e-5, atol=1e-6)


def test_a_golden_vector(encoder: SentenceEncoder) -> None:
    golden = [0.10328759, -0.39238986, -0.10793807, -0.13466088, -0.67523950, -0.40854421, 0.34417558, -0.25350368]
    np.testing.assert_allclose(encoder.encode("hello world"), golden, rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(texts=ANY_TEXTS, data=st.data())
def test_a_text_has_the_same_bits_in_any_company(
    encoder: SentenceEncoder, texts: list[str], data: st.DataObject
) -> None:
    together = encoder.encode(texts)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_array_equal(encoder.encode(text), vector)
    order = data.draw(st.permutations(range(len(texts))))
    batch_size = data.draw(st.none() | st.integers(1, 13))
    shuffled = encoder.encode([texts[index] for index in order], batch_size=batch_size)
    np.testing.assert_array_equal(shuffled, together[np.array(order)])


def test_order_is_kept_when_workers_share_the_texts(encoder: SentenceEncoder, tiny: Path, reference: Reference) -> None:
    texts = [f"{'cat ' * (index % 13)}{'hello' if index % 2 else '猫'}" for index in range(300)]
    found = encoder.encode(texts, batch_size=3)
    np.testing.assert_allclose(found, reference(tiny, texts), rtol=1e-5, atol=1e-6)


def test_windows_change_nothing(encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{'cat ' * (index % 5)}hello" for index in range(23)]
    whole = encoder.encode(texts)
    monkeypatch.setattr(runner, "_WINDOW", 7)
    np.testing.assert_array_equal(encoder.encode(texts), whole)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_no_vector(
    tmp_path: Path, write_artifact: Write, reference: Reference, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    folder = write_artifact(tmp_path / "tiny", serving={"padding_side": side}, token_embeddings=True)
    monkeypatch.setitem(runner._LENGTH_STEP, "cpu", 8)
    with SentenceEncoder(folder, threads=1) as padding:
        np.testing.assert_allclose(padding.encode(TEXTS), reference(folder, TEXTS), rtol=1e-5, atol=1e-6)
        rows = padding.encode(TEXTS, output_value="token_embeddings")
        assert [len(row) for row in rows] == [len(ids) for ids in padding.tokenize(TEXTS)]


def test_shapes(encoder: SentenceEncoder) -> None:
    assert encoder.encode("cat").shape == (8,)
    assert encoder.encode(["cat"]).shape == (1, 8)
    assert encoder.encode([]).shape == (0, 8)
    assert encoder.encode([], truncate_dim=3).shape == (0, 3)
    assert encoder.encode([], precision="ubinary").shape == (0, 1)
    np.testing.assert_array_equal(encoder.encode(("cat", "mat")), encoder.encode(["cat", "mat"]))
    np.testing.assert_array_equal(encoder.encode(np.array(["cat", "mat"])), encoder.encode(["cat", "mat"]))
    np.testing.assert_array_equal(encoder.encode(np.str_("cat")), encoder.encode("cat"))
    written_for_pytorch = encoder.encode("cat", convert_to_numpy=True, convert_to_tensor=False, batch_size=32)
    np.testing.assert_array_equal(written_for_pytorch, encoder.encode("cat"))


def test_a_text_is_cut_at_the_maximum_length(encoder: SentenceEncoder) -> None:
    assert encoder.max_seq_length == 16
    np.testing.assert_array_equal(encoder.encode("cat " * 14), encoder.encode("cat " * 14 + "hello " * 50))
    assert (encoder.encode("cat " * 13 + "hello") != encoder.encode("cat " * 14)).any()


@pytest.mark.parametrize("dim", [1, 5, 8])
def test_truncation_and_then_normalization(encoder: SentenceEncoder, dim: int) -> None:
    whole = encoder.encode(TEXTS)
    np.testing.assert_array_equal(encoder.encode(TEXTS, truncate_dim=dim), whole[:, :dim])
    shorter = encoder.encode(TEXTS, truncate_dim=dim, normalize_embeddings=True)
    lengths = np.sqrt(np.square(whole[:, :dim].astype(np.float64)).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(shorter, whole[:, :dim] / lengths, rtol=1e-5)
    np.testing.assert_array_equal(encoder.encode("cat", truncate_dim=dim), encoder.encode(["cat"])[0, :dim])


def test_fewer_bits(encoder: SentenceEncoder) -> None:
    signs = encoder.encode(TEXTS) > 0
    np.testing.assert_array_equal(encoder.encode(TEXTS, precision="ubinary"), np.packbits(signs, axis=1))
    assert encoder.encode("cat", precision="binary").shape == (1,)
    with pytest.warns(UserWarning, match="the ranges of 8 vectors are a poor guess"):
        stored = encoder.encode(TEXTS, precision="uint8")
    assert stored.dtype == np.uint8
    assert (stored.min(axis=0) == 0).all()
    assert (stored.max(axis=0) >= 254).all()


def test_token_embeddings(tmp_path: Path, write_artifact: Write) -> None:
    folder = write_artifact(tmp_path / "tiny", token_embeddings=True)
    with SentenceEncoder(folder, threads=2) as encoder:
        rows = encoder.encode(TEXTS, output_value="token_embeddings")
        assert [row.shape for row in rows] == [(len(ids), 8) for ids in encoder.tokenize(TEXTS)]
        means = np.stack([row.mean(axis=0) for row in rows])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        np.testing.assert_allclose(encoder.encode(TEXTS), means, rtol=1e-5, atol=1e-6)
        for text, row in zip(TEXTS, rows, strict=True):
            np.testing.assert_array_equal(encoder.encode(text, output_value="token_embeddings"), row)
        assert encoder.encode([], output_value="token_embeddings") == []


def test_tokenize(encoder: SentenceEncoder) -> None:
    assert [ids.tolist() for ids in encoder.tokenize(["hello", "", "猫!"])] == [[2, 21, 3], [2, 3], [2, 39, 23, 3]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cosine", [[1.0, 0.6], [0.6, 1.0]]),
        ("dot", [[4.0, 1.2], [1.2, 1.0]]),
        ("euclidean", [[0.0, -np.sqrt(2.6)], [-np.sqrt(2.6), 0.0]]),
        ("manhattan", [[0.0, -2.2], [-2.2, 0.0]]),
    ],
)
def test_similarity_is_the_checkpoints_own(
    tmp_path: Path, write_artifact: Write, name: str, expected: list[list[float]]
) -> None:
    vectors = np.array([[2.0, 0.0], [0.6, 0.8]])
    with SentenceEncoder(write_artifact(tmp_path / "tiny", serving={"similarity": name})) as encoder:
        np.testing.assert_allclose(encoder.similarity(vectors, vectors), expected, rtol=1e-6, atol=1e-6)
        found = encoder.similarity_pairwise(vectors, vectors[::-1])
        np.testing.assert_allclose(found, [expected[0][1], expected[1][0]], rtol=1e-6)


def test_what_an_encoder_says_of_itself(encoder: SentenceEncoder, tiny: Path) -> None:
    assert encoder.get_sentence_embedding_dimension() == encoder.get_embedding_dimension() == 8
    assert encoder.similarity_fn_name == "cosine"
    assert encoder.providers == ["CPUExecutionProvider"]
    assert (encoder.variant, encoder.threads) == ("fp32", 2)
    assert (encoder.prompts, encoder.default_prompt_name) == ({}, None)
    assert repr(encoder) == (
        f"SentenceEncoder({str(tiny)!r}, variant='fp32', dimension=8, max_seq_length=16, "
        "providers=['CPUExecutionProvider'])"
    )


def test_a_bar_only_where_one_is_asked_for(encoder: SentenceEncoder, capfd: pytest.CaptureFixture[str]) -> None:
    encoder.encode(TEXTS)
    assert capfd.readouterr() == ("", "")
    encoder.encode(TEXTS, show_progress_bar=True)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "Encoding: 100%" in shown.err
    assert "8/8" in shown.err


def test_variants(tmp_path: Path, write_artifact: Write, reference: Reference) -> None:
    folder = write_artifact(tmp_path / "two", variants={"fp32": {}, "int8": {"seed": 1}})
    for variant, seed in [(None, 0), ("fp32", 0), ("int8", 1)]:
        with SentenceEncoder(folder, variant=variant, threads=1) as encoder:
            assert encoder.variant == (variant or "fp32")
            expected = reference(folder, TEXTS, seed=seed)
            np.testing.assert_allclose(encoder.encode(TEXTS), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("place", ["onnx/model.onnx", "model.onnx"])
def test_a_folder_of_other_makers(
    tmp_path: Path, write_graph: Write, write_tokenizer: Write, reference: Reference, place: str
) -> None:
    write_graph(tmp_path / place, token_type_ids=True, stated_width="dim")
    write_tokenizer(tmp_path, max_length=None)
    limits: dict[str, Any] = {"max_seq_length": 5}
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps(limits), encoding="utf-8")
    with SentenceEncoder(tmp_path, threads=1) as encoder:
        assert (encoder.variant, encoder.max_seq_length) == (None, 5)
        assert encoder.get_sentence_embedding_dimension() == 8
        short = ["", "hello", "a cat sat"]
        expected = reference(tmp_path, short, types=True)
        np.testing.assert_allclose(encoder.encode(short), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(encoder.encode("a cat sat on the mat"), encoder.encode("a cat sat"))


def test_a_single_graph_with_metadata(
    tmp_path: Path, write_graph: Write, write_tokenizer: Write, reference: Reference
) -> None:
    serving = Serving(dimension=8, max_seq_length=6, prompts={"query": "query: "}, similarity="dot")
    graph = write_graph(tmp_path / "onnx" / "model.onnx", serving=serving)
    write_tokenizer(tmp_path)
    with SentenceEncoder(graph, threads=1) as encoder:
        assert (encoder.max_seq_length, encoder.prompts) == (6, {"query": "query: "})
        np.testing.assert_allclose(
            encoder.encode_query("cat"), reference(tmp_path, ["query: cat"])[0], rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(encoder.similarity(np.array([2.0]), np.array([3.0])), [[6.0]])


def test_a_single_graph_without_metadata(
    tmp_path: Path, write_graph: Write, write_tokenizer: Write, reference: Reference
) -> None:
    graph = write_graph(tmp_path / "any name.onnx", rows=100)
    write_tokenizer(tmp_path)
    with SentenceEncoder(str(graph), threads=1) as encoder:
        assert (encoder.max_seq_length, encoder.variant) == (16, None)
        assert encoder.prompts == {"query": "", "document": ""}
        expected = reference(tmp_path, TEXTS, rows=100)
        np.testing.assert_allclose(encoder.encode(TEXTS), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(os.name != "posix", reason="names of files are bytes on POSIX alone")
def test_a_folder_whose_name_is_no_unicode(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode("模型".encode("gbk"))
    try:
        shutil.copytree(tiny, folder)
    except OSError as error:
        pytest.skip(f"this file system takes no such name: {error}")
    with SentenceEncoder(folder, threads=1) as encoder, SentenceEncoder(tiny, threads=1) as original:
        np.testing.assert_array_equal(encoder.encode(TEXTS), original.encode(TEXTS))


def test_an_encoder_goes_to_another_process(tmp_path: Path, write_artifact: Write) -> None:
    folder = write_artifact(tmp_path / "two", variants={"fp32": {}, "int8": {"seed": 1}})
    with SentenceEncoder(folder, variant="int8", threads=1) as encoder:
        again = pickle.loads(pickle.dumps(encoder))
        assert (again.variant, again.threads, repr(again)) == ("int8", 1, repr(encoder))
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            np.testing.assert_array_equal(pool.submit(encoder.encode, TEXTS).result(), encoder.encode(TEXTS))
    with pytest.raises(InputError, match="this encoder was closed"):
        pickle.dumps(encoder)
