"""StaticEmbedding modules and Model2Vec folders, against sentence-transformers and model2vec themselves."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import numpy.typing as npt
import onnx_ir
import pytest
from embedrt_bench.compatibility.architectures import save_checkpoint
from embedrt_bench.compatibility.tokenizers import SENTENCES, TokenizerKind, small_tokenizer
from embedrt_export import pipeline
from embedrt_export.changes import Changes
from embedrt_export.parity.texts import PARITY_TEXTS
from embedrt_export.static import LeftOutUnknown
from embedrt_export.tracing.trace import trace
from embedrt_export.vocabulary.static_rows import keep_static_rows
from model2vec import StaticModel
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn

from embedrt import SentenceEncoder
from embedrt.errors import CheckpointError, ParityError

WIDTH = 256  # with some hundred pieces a table that is worth int8
TEXTS = [*SENTENCES, "", "password", "zzz 😀 unknown", "漢", *(text for text in PARITY_TEXTS if len(text) < 800)]
KINDS: tuple[TokenizerKind, ...] = ("wordpiece", "byte-level bpe", "unigram")

Floats = npt.NDArray[np.float32]


def table(tokens: int, width: int = WIDTH) -> Floats:
    return np.random.default_rng(0).normal(size=(tokens, width)).astype(np.float32)


@cache
def _trained(kind: TokenizerKind) -> str:
    """Training is not the same twice."""
    return str(small_tokenizer(kind, max_length=48).backend_tokenizer.to_str())


def tokenizer_of(kind: TokenizerKind) -> Tokenizer:
    return Tokenizer.from_str(_trained(kind))


def save_static(folder: Path, *others: Any, kind: TokenizerKind = "wordpiece", **options: Any) -> Path:
    tokenizer = tokenizer_of(kind)
    first = StaticEmbedding(tokenizer, embedding_weights=table(tokenizer.get_vocab_size()))
    SentenceTransformer(modules=[first, *others], device="cpu", **options).save(str(folder))
    return folder


def save_model2vec(folder: Path, *, kind: TokenizerKind = "wordpiece", **options: Any) -> Path:
    """As model2vec itself writes it."""
    tokenizer = tokenizer_of(kind)
    config = {"model_type": "model2vec"}
    given = {"vectors": table(tokenizer.get_vocab_size()), "normalize": True, "config": config, **options}
    StaticModel(tokenizer=tokenizer, **given).save_pretrained(folder)
    return folder


def exported(checkpoint: Path, out: Path, **options: Any) -> SentenceEncoder:
    manifest = embedrt_export.export(str(checkpoint), out, quiet=True, **options)
    assert manifest.variants["fp32"].parity.max_abs_difference <= 1e-5
    assert manifest.variants["fp32"].attention == "none"
    return SentenceEncoder(out)


@pytest.mark.parametrize("kind", KINDS)
def test_static_embedding(tmp_path: Path, kind: TokenizerKind) -> None:
    folder = save_static(tmp_path / "checkpoint", Normalize(), kind=kind)
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    found = exported(folder, tmp_path / "out").encode(TEXTS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_static_embedding_with_modules_prompts_and_a_cut(tmp_path: Path) -> None:
    dense = Dense(WIDTH, 24, activation_function=nn.Tanh())
    folder = save_static(tmp_path / "checkpoint", dense, prompts={"query": "How do I "}, truncate_dim=16)
    original, encoder = SentenceTransformer(str(folder), device="cpu"), exported(folder, tmp_path / "out")
    texts = [text for text in TEXTS if text.strip()]  # without a token, the Dense would make a vector of its bias alone
    np.testing.assert_allclose(encoder.encode(texts), original.encode(texts), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(encoder.encode([""]), np.zeros((1, 16)))
    found, expected = (model.encode(TEXTS, prompt_name="query") for model in (encoder, original))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_static_embedding_whose_tokenizer_cuts(tmp_path: Path) -> None:
    """sentence-transformers says that there is no limit, and lets the tokenizer cut."""
    folder = save_static(tmp_path / "checkpoint", Normalize())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(5, direction="left")
    tokenizer.save(str(folder / "tokenizer.json"))
    encoder = exported(folder, tmp_path / "out")
    assert encoder.max_seq_length == 5
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, rtol=0, atol=1e-5)


def test_the_same_text_has_the_same_bits(tmp_path: Path) -> None:
    encoder = exported(save_static(tmp_path / "checkpoint"), tmp_path / "out")
    np.testing.assert_array_equal(encoder.encode(TEXTS), np.stack([encoder.encode(text) for text in TEXTS]))


def test_token_vectors_are_rows_of_the_table(tmp_path: Path) -> None:
    folder = save_static(tmp_path / "checkpoint")
    encoder = exported(folder, tmp_path / "out", token_embeddings=True)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = tokenizer.encode("reset my password", add_special_tokens=False).ids
    found = encoder.encode("reset my password", output_value="token_embeddings")
    np.testing.assert_array_equal(found, table(tokenizer.get_vocab_size())[ids])


@pytest.mark.parametrize(("kind", "normalize"), [*zip(KINDS, (True, False, True), strict=True)])
def test_model2vec(tmp_path: Path, kind: TokenizerKind, normalize: bool) -> None:
    """It leaves unknown pieces out, which sentence-transformers counts."""
    folder = save_model2vec(tmp_path / "checkpoint", kind=kind, normalize=normalize)
    expected = StaticModel.from_pretrained(folder).encode(TEXTS)
    found = exported(folder, tmp_path / "out").encode(TEXTS)
    lengths = np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1)
    np.testing.assert_allclose(found / lengths, expected / lengths, rtol=0, atol=1e-5)


def test_a_text_of_unknown_pieces_is_zero(tmp_path: Path) -> None:
    encoder = exported(save_model2vec(tmp_path / "checkpoint"), tmp_path / "out")
    np.testing.assert_array_equal(encoder.encode(["龘龘", "", "😀"]), np.zeros((3, WIDTH)))


def test_model2vec_with_a_mapping_and_weights(tmp_path: Path) -> None:
    """Vocabularies that were clustered: many tokens share a row, each has its own weight."""
    tokens = tokenizer_of("wordpiece").get_vocab_size()
    random = np.random.default_rng(1)
    options: dict[str, Any] = {
        "vectors": table(50), "token_mapping": random.integers(0, 50, tokens), "weights": random.uniform(0, 1, tokens),
    }  # fmt: skip
    folder = save_model2vec(tmp_path / "checkpoint", **options)
    expected = StaticModel.from_pretrained(folder).encode(TEXTS)
    np.testing.assert_allclose(exported(folder, tmp_path / "out").encode(TEXTS), expected, rtol=0, atol=1e-5)


def test_model2vec_in_int8(tmp_path: Path) -> None:
    vectors = (table(tokenizer_of("wordpiece").get_vocab_size()) * 30).astype(np.int8)
    folder = save_model2vec(tmp_path / "checkpoint", vectors=vectors)
    expected = StaticModel.from_pretrained(folder).encode(TEXTS)
    np.testing.assert_allclose(exported(folder, tmp_path / "out").encode(TEXTS), expected, rtol=0, atol=1e-5)


def test_model2vec_cuts_where_its_config_says(tmp_path: Path) -> None:
    folder = save_model2vec(tmp_path / "checkpoint", max_length=5)
    texts = ["password cat roof " * count for count in (1, 2, 300)]
    manifest = embedrt_export.export(str(folder), tmp_path / "out", quiet=True)
    assert manifest.serving.max_seq_length == 5
    expected = StaticModel.from_pretrained(folder).tokenize(texts)
    known = SentenceEncoder(tmp_path / "out").tokenize(texts)
    unknown = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id("[UNK]")
    assert [[number for number in row if number != unknown] for row in known] == [list(row) for row in expected]


@pytest.mark.parametrize("named", [True, False])
def test_model2vec_without_modules_json(tmp_path: Path, named: bool) -> None:
    """As its first releases wrote it; and where config.json does not say what it is, the table's name does."""
    options: dict[str, Any] = {} if named else {"config": None}
    folder = save_model2vec(tmp_path / "checkpoint", **options)
    (folder / "modules.json").unlink()
    expected = StaticModel.from_pretrained(folder).encode(TEXTS)
    np.testing.assert_allclose(exported(folder, tmp_path / "out").encode(TEXTS), expected, rtol=0, atol=1e-5)


def test_int8_and_fp16_rows(tmp_path: Path) -> None:
    folder = save_static(tmp_path / "checkpoint", Normalize())
    exact = exported(folder, tmp_path / "out", precisions=["int8", "fp16"])
    for variant, gate in (("int8", 0.9998), ("fp16", 0.999999)):
        found = SentenceEncoder(tmp_path / "out", variant=variant).encode(SENTENCES)
        assert float((found * exact.encode(SENTENCES)).sum(axis=1).min()) > gate
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "out/onnx").iterdir()}
    assert sizes["model_int8.onnx"] < 0.3 * sizes["model.onnx"]
    assert sizes["model_fp16.onnx"] < 0.55 * sizes["model.onnx"]


def test_verify(tmp_path: Path) -> None:
    folder = save_model2vec(tmp_path / "checkpoint")
    exported(folder, tmp_path / "out")
    _, parity = embedrt_export.verify(tmp_path / "out", against=str(folder), quiet=True)
    assert parity.max_abs_difference <= 1e-5
    assert parity.reference.startswith("Model2Vec's way (unknown pieces left out) in sentence-transformers")
    assert "float64" in parity.reference


def test_a_trimmed_table(tmp_path: Path) -> None:
    """Most of a multilingual static model is rows that its user never looks up."""
    folder = save_model2vec(tmp_path / "checkpoint", kind="unigram")
    kept_for = tmp_path / "texts.txt"
    kept_for.write_text("\n".join(SENTENCES[:3]), encoding="utf-8")
    whole = exported(folder, tmp_path / "whole")
    small = exported(folder, tmp_path / "small", changes=Changes(keep_vocabulary_of=(kept_for,)))
    np.testing.assert_array_equal(small.encode(SENTENCES[:3]), whole.encode(SENTENCES[:3]))
    sizes = [(tmp_path / name / "onnx/model.onnx").stat().st_size for name in ("whole", "small")]
    assert sizes[1] < 0.8 * sizes[0]
    _, parity = embedrt_export.verify(tmp_path / "small", against=str(folder), quiet=True)
    assert parity.max_abs_difference <= 1e-5


def test_the_unknown_piece_is_left_out_under_its_new_id() -> None:
    ids = {"gone": 0, "cat": 1, "roof": 2, "[UNK]": 3}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    module = LeftOutUnknown(tokenizer, table(4), max_length=3)
    smaller = Tokenizer(models.WordLevel({"cat": 0, "roof": 1, "[UNK]": 2}, unk_token="[UNK]"))
    smaller.pre_tokenizer = pre_tokenizers.Whitespace()
    assert keep_static_rows(module, smaller, [1, 2, 3]) == 4 * WIDTH
    features = module(module.preprocess(["cat gone roof cat", "dog"]))
    np.testing.assert_allclose(features["sentence_embedding"], [table(4)[1:3].mean(axis=0), np.zeros(WIDTH)], rtol=1e-6)


def test_a_wrong_graph_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No layer is to blame where there is none."""

    def sabotaged(*arguments: Any) -> onnx_ir.Model:
        model = trace(*arguments)
        weight = next(value for name, value in model.graph.initializers.items() if "table" in name)
        assert weight.const_value is not None
        weight.const_value = onnx_ir.tensor(weight.const_value.numpy() * np.float32(1.01), name=weight.name)
        return model

    monkeypatch.setattr(pipeline, "trace", sabotaged)
    with pytest.raises(ParityError, match=r"worst text .* in batches of \d+$"):
        embedrt_export.export(str(save_static(tmp_path / "checkpoint")), tmp_path / "out", quiet=True)


def _change(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        arrays = load_file(folder / "model.safetensors")
        save_file(change(arrays), folder / "model.safetensors")

    return changed


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), r"lacks tokenizer\.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"lacks model\.safetensors"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), r"tokenizer\.json is not a tokenizer"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\0" * 40), r"model\.safetensors cannot be read"),
        (_change(lambda arrays: {"vectors": arrays["embeddings"]}), "holds vectors, expected embeddings"),
        (_change(lambda arrays: {"embeddings": arrays["embeddings"][:9]}), "holds vectors for 9 tokens, but tokenizer"),
        (_change(lambda arrays: {"embeddings": arrays["embeddings"] / 0 * 0}), "not finite"),
        (_change(lambda arrays: {**arrays, "mapping": np.full(500, 10**6)}), "maps a token to row 1000000 of"),
        (
            _change(lambda arrays: {"embeddings": arrays["embeddings"][:, 0].copy()}),
            r"of shape \(\d+,\), expected \(tokens, dim",
        ),
        (
            _change(lambda arrays: {**arrays, "weights": np.ones(9)}),
            r"weights of shape \(9,\), expected one number for",
        ),
    ],
    ids=[
        *("no-tokenizer", "no-table", "bad-tokenizer", "bad-table", "no-embeddings"),
        *("short", "infinite", "mapping", "one axis", "few weights"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_a_damaged_model2vec_folder(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    folder = save_model2vec(tmp_path / "checkpoint")
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        embedrt_export.export(str(folder), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


def test_the_kind_is_not_believed(tmp_path: Path) -> None:
    folder = save_checkpoint("bert", tmp_path / "checkpoint")
    with pytest.raises(
        CheckpointError, match="begins with a Transformer, so it is dense, not static: leave out --kind static"
    ):
        embedrt_export.export(str(folder), tmp_path / "out", kind="static", quiet=True)


def test_pooling_is_not_asked_of_a_static_model(tmp_path: Path) -> None:
    folder = save_model2vec(tmp_path / "checkpoint")
    assert json.loads((folder / "config.json").read_text())["model_type"] == "model2vec"
    with pytest.raises(CheckpointError, match="names its own pooling: leave out --pooling"):
        embedrt_export.export(str(folder), tmp_path / "out", pooling=["mean"], quiet=True)
