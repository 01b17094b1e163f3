"""Ids of whole words against sentence-transformers' own tokenizers, and the words of the Treebank against NLTK's."""

import marshal
import string
import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nltk.tokenize.destructive import NLTKWordTokenizer
from sentence_transformers.sentence_transformer.modules.tokenizer import (
    ENGLISH_STOP_WORDS,
    PhraseTokenizer,
    WhitespaceTokenizer,
)

from embedrt.text import jieba_words
from embedrt.text.segmenters import Segmenter, WordRules, segmenter_for
from embedrt.text.treebank import treebank_words

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own, of escapes in strings and of pkg_resources
    import jieba

SHORT = st.sampled_from(
    ["new", "New", "york", "YORK", "city", "a", "the", "Ä", "ß", "İ", "Σ", "猫", "3", "_", "'s", ".", ",", ""]
)
WORDS = st.lists(SHORT, min_size=1, max_size=4).flatmap(
    lambda parts: st.sampled_from(["_", "", "'", "__"]).map(lambda between: between.join(parts))
)
VOCABULARY = st.lists(WORDS, max_size=12)
TEXTS = st.lists(
    st.one_of(
        WORDS, SHORT, st.sampled_from([*string.punctuation, "can't", "cannot", '"', "``", "\u3000", "\n", "New York"])
    ),
    max_size=12,
).flatmap(lambda parts: st.sampled_from([" ", "", "\t"]).map(lambda between: between.join(parts)))
# NLTK 3.10 asks the package `regex` what a letter and a space are; it and Python differ on these kinds of characters
LETTERS = st.text(
    st.characters(exclude_categories=("Cn", "Cc", "Cf", "Cs", "Mn", "Mc", "Me", "No", "So", "Pc")), max_size=30
)
CLITICS = ["''", "``", "--", "...", "n't", "'ll", "'n", "'ye", "'re", "'VE", " 't", ". "]
DOUBLES = ["can", "not", "is", "was", "gon", "na", "gim", "me", "lem", "wan", "got", "ta", "more", "d"]
MARKS = st.lists(
    st.sampled_from([*"abtsd .,:;'\"`“”‘’«»„()[]{}<>?!*-–—@#$%&0123\n猫", *CLITICS, *DOUBLES]), max_size=20
).map("".join)


def segmenter(split: str, words: list[str], **rules: object) -> Segmenter:
    return segmenter_for(WordRules(split=split, **rules), words)  # type: ignore[arg-type]


@settings(deadline=None)
@given(VOCABULARY, st.lists(WORDS, max_size=3), TEXTS, st.booleans())
def test_whitespace_gives_the_ids_of_the_original(
    words: list[str], stop: list[str], text: str, lowercase: bool
) -> None:
    original = WhitespaceTokenizer(words, stop_words=stop, do_lower_case=lowercase)
    ours = segmenter("whitespace", words, stop_words=tuple(stop), lowercase=lowercase)
    assert ours.ids(text) == original.tokenize(text)
    assert [number for number, _, _ in ours.places(text)] == original.tokenize(text)


@settings(deadline=None)
@given(VOCABULARY, st.lists(WORDS, max_size=3), TEXTS, st.sampled_from(["_", " ", None]), st.integers(1, 4))
@example(["new_york", "new", "york_city"], [], "New YORK City new", "_", 5)
@example(["a_b_c", "a_b", "b_c"], [], "a b c a B", "_", 2)
def test_phrases_give_the_ids_of_the_original(
    words: list[str], stop: list[str], text: str, separator: str | None, longest: int
) -> None:
    original = PhraseTokenizer(words, stop_words=stop, ngram_separator=separator, max_ngram_length=longest)
    ours = segmenter("phrases", words, stop_words=tuple(stop), phrase_separator=separator, longest_phrase=longest)
    assert ours.ids(text) == original.tokenize(text)
    assert [number for number, _, _ in ours.places(text)] == original.tokenize(text)


@pytest.mark.parametrize("split", ["whitespace", "phrases"])
def test_the_stop_words_of_english(split: str) -> None:
    text = "The Cats, which I saw IN New York, didn't see me: what a pity! (they were asleep)"
    words = ["cats", "saw", "New", "York", "New_York", "see", "pity", "asleep", "the", "me", "n't"]
    kind = {"whitespace": WhitespaceTokenizer, "phrases": PhraseTokenizer}[split]
    expected = kind(words, stop_words=ENGLISH_STOP_WORDS).tokenize(text)
    assert segmenter(split, words, stop_words=tuple(ENGLISH_STOP_WORDS)).ids(text) == expected
    assert expected == {"whitespace": [0, 1, 2, 3, 6, 7], "phrases": [0, 1, 4, 10, 6, 7]}[split]


@settings(deadline=None)
@given(st.one_of(MARKS, LETTERS))
def test_the_words_of_the_treebank(text: str) -> None:
    assert treebank_words(text) == NLTKWordTokenizer().tokenize(text)


def test_places_in_the_text() -> None:
    text = 'He said "New York can\'t sleep", twice.'
    words = ["New_York", "``", "ca", "n't", "twice"]
    found = segmenter("phrases", words).places(text)
    assert [(words[number], text[start:stop]) for number, start, stop in found] == [
        ("``", '"'),
        ("New_York", "New York"),
        ("ca", "ca"),
        ("n't", "n't"),
        ("twice", "twice"),
    ]
    spaced = segmenter("whitespace", ["said", "sleep"]).places(text)
    assert [(number, text[start:stop]) for number, start, stop in spaced] == [(0, "said"), (1, 'sleep",')]


def test_a_word_that_stands_twice_has_the_last_place() -> None:
    assert segmenter("whitespace", ["cat", "dog", "cat"]).ids("cat dog") == [2, 1]
    assert WhitespaceTokenizer(["cat", "dog", "cat"], stop_words=[]).tokenize("cat dog") == [2, 1]


def test_the_dictionary_is_the_packages_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not what somebody left where jieba keeps a copy of it."""
    (tmp_path / "jieba.cache").write_bytes(marshal.dumps(({"北": 1, "京": 1}, 2)))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cutter = jieba_words.jieba_cutter.__wrapped__()
    assert cutter.words("我来到北京清华大学") == ["我", "来到", "北京", "清华大学"]
    assert len(cutter._tokenizer.FREQ) > 400_000


CHINESE = st.lists(
    st.sampled_from(
        ["北京大学", "特价机票", "忘记", "密码", "怎么办", "的", "？", " ", "hello", "清华大学", "研究生命起源", "3.5"]
    ),
    max_size=8,
).map("".join)


@settings(deadline=None)
@given(
    CHINESE,
    st.sets(
        st.sampled_from(["北京", "大学", "北京大学", "特价", "机票", "忘记", "密码", "的", "研究", "生命", "hello"])
    ),
)
def test_chinese_words_as_text2vec_reads_them(text: str, known: set[str]) -> None:
    words, stop = sorted(known), {"的", "大学"}
    expected = []
    for word in jieba.lcut(text):
        if word in stop:
            continue
        if word in words:
            expected.append(word)
        elif len(word) > 1:
            expected += [part for part in jieba.cut(word, cut_all=True) if part in words]
    ours = segmenter("jieba", words, stop_words=tuple(stop))
    assert [words[number] for number in ours.ids(text)] == expected
    assert [words[number] for number, _, _ in ours.places(text)] == expected
    assert all(words[number] in text[start:stop] for number, start, stop in ours.places(text))
