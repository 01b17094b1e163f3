"""Checkpoints of sentence-transformers that begin with words: parity, ids, batches, and texts of unknown words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.sentence_transformer.modules import (
    CNN,
    LSTM,
    BoW,
    Dropout,
    LayerNorm,
    Pooling,
    WordEmbeddings,
    WordWeights,
)
from sentence_transformers.sentence_transformer.modules.tokenizer import PhraseTokenizer, WhitespaceTokenizer
from torch import nn
from transformers import PreTrainedTokenizerFast

from embedrt import SentenceEncoder
from embedrt.errors import CheckpointError
from embedrt.inference.batching import Batch, padded_arrays

WIDTH = 33  # odd, so that rows begin at addresses of all kinds
VOCABULARY = [
    *("PADDING_TOKEN", "how", "do", "i", "reset", "my", "password", "cat"),
    *("Cat", "sat", "mat", "New", "York", "New_York", "the"),
    *("hot_dog", "hot", "dog", "can", "not", "n't", "ca", "忘记", "密码", "?", "3.14", "(mat)"),
    *(f"word{number}" for number in range(40)),
]
WORDS = st.sampled_from([*VOCABULARY, "unknown", "CAT,", "(dog)", "can't", "?!", "密", "THE", "Hot"])
TEXTS = st.lists(WORDS, max_size=30).map(" ".join)
TOLERANCE = 1e-5

Vectors = npt.NDArray[np.float32]


def words(tokenizer: Any = None, **options: Any) -> WordEmbeddings:
    table = np.random.default_rng(0).normal(size=(len(VOCABULARY), WIDTH)).astype(np.float32)
    return WordEmbeddings(tokenizer or WhitespaceTokenizer(VOCABULARY, stop_words=["the"]), table, **options)


def phrases() -> WordEmbeddings:
    return words(PhraseTokenizer(VOCABULARY, stop_words=["the", "?"]))


def weights() -> WordWeights:
    known = {word: 0.1 + number % 7 for number, word in enumerate(VOCABULARY) if number % 3}
    return WordWeights(VOCABULARY, known, unknown_word_weight=2.5)


def on_tokens(width: int, out: int, **options: Any) -> Dense:
    return Dense(width, out, module_input_name="token_embeddings", module_output_name="token_embeddings", **options)


def pooling(*modes: str, width: int = WIDTH) -> Pooling:
    return Pooling(width, pooling_mode=modes)


STACKS: dict[str, Callable[[], list[Any]]] = {
    "mean": lambda: [words(), pooling("mean")],
    "lowercase": lambda: [words(WhitespaceTokenizer(VOCABULARY, [], do_lower_case=True)), pooling("mean"), Normalize()],
    "all poolings": lambda: [words(), pooling("max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")],
    "cut": lambda: [words(max_seq_length=3), pooling("lasttoken", "mean")],
    "weights": lambda: [words(), weights(), pooling("mean", "mean_sqrt_len_tokens", "weightedmean", "max")],
    "bag of words": lambda: [BoW(VOCABULARY, {"cat": 0.3, "the": 2.0})],
    "words in a bag": lambda: [BoW(VOCABULARY, {"cat": -0.3}, 0.7, cumulative_term_frequency=False), Normalize()],
    "bag and layers": lambda: [BoW(VOCABULARY), Dense(len(VOCABULARY), 12), LayerNorm(12)],
    "InferSent": lambda: [words(), LSTM(WIDTH, 17), pooling("max", width=34)],
    "two layers": lambda: [words(), LSTM(WIDTH, 9, num_layers=2, bidirectional=False), pooling("mean", width=9)],
    "weighted LSTM": lambda: [words(), weights(), LSTM(WIDTH, 8, num_layers=2), pooling("mean", width=16)],
    "DAN": lambda: [
        phrases(),
        pooling("mean_sqrt_len_tokens"),
        Dense(WIDTH, 24, activation_function=nn.Tanh()),
        Dropout(0.3),
        Dense(24, 16, activation_function=nn.Tanh()),
    ],
    "convolutions": lambda: [words(), CNN(WIDTH, 8, [1, 3, 5]), pooling("max", "mean", width=24), Normalize()],
    "dense on words": lambda: [
        words(),
        on_tokens(WIDTH, 20, activation_function=nn.ReLU(), use_residual=True),
        Normalize("token_embeddings"),
        pooling("mean", width=20),
        Dense(20, 20, activation_function=nn.PReLU(), use_residual=True),
        LayerNorm(20),
    ],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[SentenceTransformer, Path]]:
    """A stack as sentence-transformers loads it, and its artifact; each is made once."""
    known: dict[str, tuple[SentenceTransformer, Path]] = {}

    def make(name: str) -> tuple[SentenceTransformer, Path]:
        if name not in known:
            place = tmp_path_factory.mktemp("words")
            known[name] = save(STACKS[name](), place), place / "out"
            embedrt_export.export(str(place / "checkpoint"), place / "out", quiet=True)
        return known[name]

    return make


def save(modules: list[Any], place: Path, **options: Any) -> SentenceTransformer:
    torch.manual_seed(0)
    model = SentenceTransformer(modules=modules, device="cpu", **options)
    with torch.no_grad():
        for module in modules[1:]:
            for weight in module.parameters():
                if not isinstance(module, WordWeights):
                    weight.add_(torch.randn_like(weight) * 0.2)
    model.save(str(place / "checkpoint"))
    return SentenceTransformer(str(place / "checkpoint"), device="cpu").eval()


def expected(model: SentenceTransformer, texts: list[str]) -> Vectors:
    """Each text alone; zeros where it has no known word."""
    vectors = np.zeros((len(texts), int(model.get_embedding_dimension() or 0)), dtype=np.float32)
    for row, text in enumerate(texts):
        if model.tokenizer.tokenize(text):
            vectors[row] = model.encode(text, show_progress_bar=False)
    return vectors


def assert_close(found: Vectors, wanted: Vectors) -> None:
    scale = np.maximum(np.linalg.norm(wanted, axis=1, keepdims=True), 1)
    np.testing.assert_array_less(np.abs(found - wanted) / scale, TOLERANCE)


@pytest.mark.parametrize("name", STACKS)
@settings(max_examples=15, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=6))
def test_vectors_are_those_of_sentence_transformers(
    made: Callable[[str], tuple[SentenceTransformer, Path]], name: str, texts: list[str]
) -> None:
    model, artifact = made(name)
    with SentenceEncoder(artifact) as encoder:
        assert_close(encoder.encode(texts), expected(model, texts))
        limit = getattr(model[0], "max_seq_length", None)
        assert [row.tolist() for row in encoder.tokenize(texts)] == [
            model.tokenizer.tokenize(text)[:limit] for text in texts
        ]


@pytest.mark.parametrize("name", STACKS)
def test_company_and_padding_change_no_bit(made: Callable[[str], tuple[SentenceTransformer, Path]], name: str) -> None:
    _, artifact = made(name)
    random = np.random.default_rng(1)
    texts = [" ".join(random.choice(VOCABULARY, size=size)) for size in random.integers(1, 20, size=60)]
    with SentenceEncoder(artifact) as encoder:
        together = encoder.encode(texts)
        np.testing.assert_array_equal(together, np.stack([encoder.encode(text) for text in texts]))
        np.testing.assert_array_equal(together, encoder.encode(texts, batch_size=7))
        assert len(np.unique(together, axis=0)) > 40


@pytest.mark.parametrize("name", STACKS)
def test_unknown_words_are_the_zero_vector(made: Callable[[str], tuple[SentenceTransformer, Path]], name: str) -> None:
    _, artifact = made(name)
    texts = ["unknown", "", "  \n", "cat", "zzz, zzz"]
    with SentenceEncoder(artifact) as encoder:
        vectors = encoder.encode(texts)
        session, tokenizer, serving = encoder._opened.session, encoder._tokenizer, encoder._serving
    assert not vectors[[0, 1, 2, 4]].any()
    assert vectors[3].any()
    # and in the graph itself, whoever runs it, with padding and beside others
    tokens = tokenizer.encode(["cat sat", "unknown", "cat"])

    batch = Batch(rows=np.arange(3), length=4)
    ids, mask = padded_arrays(tokens, batch, pad_token_id=serving.pad_token_id, padding_side=serving.padding_side)
    found = session.run(ids, mask)[0]
    assert not found[1].any()
    assert_close(found[[2]], vectors[[3]])


def test_prompts_come_along(tmp_path: Path) -> None:
    model = save([words(), pooling("mean")], tmp_path, prompts={"query": "how do i "}, default_prompt_name="query")
    embedrt_export.export(str(tmp_path / "checkpoint"), tmp_path / "out", quiet=True)
    with SentenceEncoder(tmp_path / "out") as encoder:
        assert_close(encoder.encode(["cat"]), model.encode(["cat"]))
        assert_close(encoder.encode(["cat"]), model.encode(["how do i cat"], prompt=""))


def test_vectors_that_a_checkpoint_cuts(tmp_path: Path) -> None:
    model = save([words(), pooling("mean")], tmp_path, truncate_dim=5)
    embedrt_export.export(str(tmp_path / "checkpoint"), tmp_path / "out", quiet=True)
    with SentenceEncoder(tmp_path / "out") as encoder:
        assert_close(encoder.encode(["cat sat"]), model.encode(["cat sat"]))
        assert encoder.encode("cat").shape == (5,)


def test_token_vectors(tmp_path: Path) -> None:
    model = save([words(), LSTM(WIDTH, 8), pooling("max", width=16)], tmp_path)
    embedrt_export.export(str(tmp_path / "checkpoint"), tmp_path / "out", token_embeddings=True, quiet=True)
    texts = ["cat sat mat", "unknown", "dog"]
    with SentenceEncoder(tmp_path / "out") as encoder:
        found = encoder.encode(texts, output_value="token_embeddings")
    assert [len(tokens) for tokens in found] == [3, 0, 1]
    for text, tokens in [(texts[0], found[0]), (texts[2], found[2])]:
        assert_close(tokens, model.encode([text], output_value="token_embeddings")[0].numpy())


def pieces(tmp_path: Path, write_tokenizer: Callable[..., Path], template: str) -> PreTrainedTokenizerFast:
    path = write_tokenizer(tmp_path / "pieces", template=template, max_length=None)
    return PreTrainedTokenizerFast(tokenizer_file=str(path), pad_token="[PAD]", unk_token="[UNK]")


def test_pieces_of_a_transformer_as_words(tmp_path: Path, write_tokenizer: Callable[..., Path]) -> None:
    tokenizer = pieces(tmp_path, write_tokenizer, "[CLS] $A [SEP]")
    table = np.random.default_rng(0).normal(size=(len(tokenizer), WIDTH)).astype(np.float32)
    model = save([WordEmbeddings(tokenizer, table), pooling("mean")], tmp_path)
    embedrt_export.export(str(tmp_path / "checkpoint"), tmp_path / "out", quiet=True)
    texts = ["how do i reset my password?", "", "忘记密码", "cats " * 300]
    with SentenceEncoder(tmp_path / "out") as encoder:
        assert_close(encoder.encode(texts), np.stack([model.encode(text) for text in texts]))
    assert not (tmp_path / "out" / "words.json").exists()


def test_what_cannot_be_exported(tmp_path: Path, write_tokenizer: Callable[..., Path]) -> None:
    cut = pieces(tmp_path, write_tokenizer, "[CLS] $A [SEP]")
    table = np.zeros((len(cut), WIDTH), dtype=np.float32)
    refused: dict[str, list[Any]] = {
        "cls": [words(), pooling("cls")],
        "kernel_sizes": [words(), CNN(WIDTH, 8, [2]), pooling("mean", width=8)],
        "cuts the special tokens": [WordEmbeddings(cut, table, max_seq_length=4), pooling("mean")],
        "vocabulary of 3 words": [words(), WordWeights(["a", "b", "c"], {}), pooling("mean")],
        "one Pooling": [words(), Normalize("token_embeddings")],
    }
    for number, (message, modules) in enumerate(refused.items()):
        place = tmp_path / str(number)
        SentenceTransformer(modules=modules, device="cpu").save(str(place / "checkpoint"))
        with pytest.raises(CheckpointError, match=message):
            embedrt_export.export(str(place / "checkpoint"), place / "out", quiet=True)
        assert not (place / "out").exists()


def test_verify_repeats_the_comparison(made: Callable[[str], tuple[SentenceTransformer, Path]]) -> None:
    _, artifact = made("InferSent")
    manifest, parity = embedrt_export.verify(artifact, against=str(artifact.parent / "checkpoint"), quiet=True)
    assert parity == manifest.variants["fp32"].parity
    assert manifest.variants["fp32"].attention == "none"
    assert parity.max_abs_difference < TOLERANCE
