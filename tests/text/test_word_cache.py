"""Words that are remembered give the ids that the tokenizer gives for the whole text, whatever the text."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from embedrt.text import word_cache
from embedrt.text.tokenizer import TextTokenizer
from embedrt.text.word_cache import WordCache

WORDS = [
    "cat",
    "Cat",
    "ÉTÉ",
    "cafe\u0301",
    "\u0301",
    "Σας",
    "ΟΔΟΣ",
    "i\u0307",
    "don't",
    "...",
    "##ing",
    "cats",
    "x" * 120,
]
MARKS = ["\t", "\n", "\u00a0", "\u3000", "\u200b", "\x1c", "\x85", "\ufffd", "\x00", "猫", "你好", "😀", "ﬁ", "한"]
SPECIAL = ["[SEP]", "[CLS]", "[PAD]", "[UNK]", "[MASK]", "[sep]"]
PIECES = st.sampled_from([*WORDS, *MARKS, *SPECIAL, " ", "  "]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=6
)
TEXTS = st.lists(PIECES, max_size=12).flatmap(lambda pieces: st.sampled_from(["".join(pieces), " ".join(pieces)]))

Change = Callable[[Tokenizer], Any]


@pytest.fixture(scope="module")
def bert() -> Tokenizer:
    """A BERT tokenizer of letters and some words, with the special tokens that real ones have."""
    letters = [chr(code) for code in range(33, 127)] + ["é", "σ", "ς", "α", "猫", "你", "好"]
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "cat",
        "ete",
        *letters,
        *(f"##{letter}" for letter in letters),
    ]
    tokenizer = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return tokenizer


def copy(tokenizer: Tokenizer, change: Change = lambda _tokenizer: None) -> Tokenizer:
    other = Tokenizer.from_str(tokenizer.to_str())
    change(other)
    return other


def cache_over(tokenizer: Tokenizer) -> WordCache:
    cache = WordCache.over(tokenizer)
    assert cache is not None
    return cache


@pytest.mark.parametrize("limit", [None, 5, 3])
@settings(deadline=None, max_examples=300)
@given(texts=st.lists(TEXTS, max_size=6))
def test_ids_are_those_of_the_whole_text(bert: Tokenizer, limit: int | None, texts: list[str]) -> None:
    tokenizer = copy(bert, lambda other: other.enable_truncation(limit) if limit else None)
    cache, expected = cache_over(tokenizer), [tokenizer.encode(text).ids for text in texts]
    assert cache.rows(texts) == expected
    assert cache.rows(texts) == expected  # from memory
    assert [cache.rows([text])[0] for text in texts] == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda tokenizer: setattr(tokenizer, "normalizer", normalizers.NFC()),
        lambda tokenizer: setattr(tokenizer, "pre_tokenizer", pre_tokenizers.Metaspace()),
        lambda tokenizer: setattr(tokenizer, "model", models.BPE({"a": 0, "b": 1}, [])),
        lambda tokenizer: tokenizer.enable_truncation(8, direction="left"),
        lambda tokenizer: tokenizer.add_tokens([AddedToken("new york")]),
        lambda tokenizer: tokenizer.add_tokens([AddedToken("<x>", lstrip=True)]),
        lambda tokenizer: tokenizer.add_tokens([AddedToken("<x>", rstrip=True)]),
        lambda tokenizer: tokenizer.add_tokens([AddedToken("<x>", single_word=True)]),
    ],
    ids=["normalizer", "pre-tokenizer", "model", "cut at the left", "two words", "lstrip", "rstrip", "single word"],
)
def test_other_tokenizers_are_asked_for_whole_texts(bert: Tokenizer, change: Change) -> None:
    assert WordCache.over(bert) is not None
    assert WordCache.over(copy(bert, change)) is None


@pytest.mark.parametrize("template", ["$A", "[CLS] $A", "$A [SEP]", "[CLS] [MASK] $A [SEP] [SEP]"])
def test_special_tokens_at_either_end(bert: Tokenizer, template: str) -> None:
    special = [("[CLS]", 2), ("[SEP]", 3), ("[MASK]", 4)]
    tokenizer = copy(
        bert,
        lambda other: setattr(
            other, "post_processor", processors.TemplateProcessing(single=template, special_tokens=special)
        ),
    )
    texts = ["cat", "", "a cat"]
    assert cache_over(tokenizer).rows(texts) == [tokenizer.encode(text).ids for text in texts]


def test_a_template_around_the_ends_of_every_text_only(bert: Tokenizer) -> None:
    """A text between two copies of itself is no text between special tokens."""
    twice = processors.TemplateProcessing(single="$A [SEP] $A", special_tokens=[("[SEP]", 3)])
    assert WordCache.over(copy(bert, lambda other: setattr(other, "post_processor", twice))) is None


def test_memory_is_bounded(bert: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_cache, "_KEPT", 10)
    cache = cache_over(copy(bert))
    texts = [f"word{number} {'y' * 40} 猫{number}" for number in range(30)]
    expected = [cache._tokenizer.encode(text).ids for text in texts]
    assert cache.rows(texts) == expected
    assert sorted(cache._known) == sorted(set(cache._known) & {f"word{number}" for number in range(30)})
    assert len(cache._known) == 10
    assert cache.rows(texts) == expected
    assert len(cache._known) == 10


def test_a_word_is_asked_for_once(bert: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = cache_over(copy(bert))
    asked: list[set[str]] = []
    original = WordCache._asked

    def noting(self: WordCache, words: set[str]) -> Any:
        asked.append(set(words))
        return original(self, words)

    monkeypatch.setattr(WordCache, "_asked", noting)
    cache.rows(["a cat", "the cat"])
    cache.rows(["the cat sat", "a cat"])
    cache.rows(["cat a the sat"])
    assert asked == [{"a", "cat", "the"}, {"sat"}]


def test_threads_that_learn_at_once(bert: Tokenizer) -> None:
    cache = cache_over(copy(bert))
    texts = [f"w{number % 97} cat q{number % 89}" for number in range(2000)]
    expected = [cache._tokenizer.encode(text).ids for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert [row for [row] in pool.map(cache.rows, [[text] for text in texts])] == expected


def test_texts_without_special_tokens_are_not_from_memory(tiny: Path) -> None:
    tokenizer = TextTokenizer(tiny / "tokenizer.json")
    assert tokenizer.encode(["hello"]).ids.tolist() == [2, 21, 3]
    assert tokenizer.encode(["hello"], special_tokens=False).ids.tolist() == [21]


@pytest.mark.parametrize(
    ("threads", "texts", "looked_up"), [(1, 65, True), (2, 65, True), (3, 65, False), (3, 64, True)]
)
def test_many_texts_are_for_many_threads(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, threads: int, texts: int, looked_up: bool
) -> None:
    monkeypatch.setattr("embedrt.text.tokenizer.available_threads", lambda: threads)
    tokenizer = TextTokenizer(tiny / "tokenizer.json")
    cache = tokenizer._known_words
    assert cache is not None
    assert tokenizer.encode(["hello"] * texts).lengths.tolist() == [3] * texts
    assert ("hello" in cache._known) is looked_up
