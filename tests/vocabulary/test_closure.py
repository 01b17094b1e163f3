"""Whatever the vocabulary and the texts: with the pieces that are kept, the texts are cut as with all of them."""

import json
from typing import Any

import numpy as np
import pytest
from embedrt_export.vocabulary.closure import closure
from embedrt_export.vocabulary.pieces import Pieces
from embedrt_export.vocabulary.renumber import renumbered
from embedrt_export.vocabulary.usage import usage
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

LETTERS = "abcжз猫"
words = st.text(LETTERS, min_size=1, max_size=9)
texts = st.lists(st.lists(words, min_size=1, max_size=4).map(" ".join), min_size=1, max_size=6)
sums = st.lists(st.text(LETTERS, min_size=1, max_size=4), min_size=1, max_size=25, unique=True)


def quiet(_bytes: float) -> None:
    pass


def trimmed(tokenizer: Tokenizer, kept_for: list[str], **options: Any) -> tuple[Tokenizer, list[int]]:
    pieces = Pieces(json.loads(tokenizer.to_str()))
    found = usage(tokenizer, pieces, kept_for, [], quiet)
    kept = closure(pieces, found.used, **options)
    return renumbered(pieces, kept), kept


def assert_same_cuts(tokenizer: Tokenizer, kept_for: list[str]) -> None:
    smaller, kept = trimmed(tokenizer, kept_for)
    for text in kept_for:
        before, after = tokenizer.encode(text), smaller.encode(text)
        assert [kept[number] for number in after.ids] == before.ids, text
        assert after.tokens == before.tokens
        assert after.offsets == before.offsets


def wordpiece(pieces: list[str]) -> Tokenizer:
    vocabulary = ["[UNK]", *dict.fromkeys(pieces)]
    tokenizer = Tokenizer(models.WordPiece(vocab={piece: i for i, piece in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def unigram(scored: list[tuple[str, float]], *, byte_fallback: bool = False) -> Tokenizer:
    vocabulary = [("<unk>", 0.0), *scored]
    if byte_fallback:
        vocabulary += [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=byte_fallback))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def bpe(joins: list[tuple[int, int]], *, suffix: str | None = None) -> Tokenizer:
    """Characters, and what the pairs of earlier pieces (by number, cut to what there is) are joined to."""
    starts = list(LETTERS) + ([letter + suffix for letter in LETTERS] if suffix else [])
    vocabulary, merges = ["<unk>", *starts], []
    for first, second in joins:
        pair = vocabulary[1 + first % (len(vocabulary) - 1)], vocabulary[1 + second % (len(vocabulary) - 1)]
        ends = suffix and pair[0].endswith(suffix)
        if not ends and pair not in merges and len(pair[0] + pair[1]) <= 8:
            merges.append(pair)
            vocabulary.append(pair[0] + pair[1])
    ids = {piece: number for number, piece in enumerate(dict.fromkeys(vocabulary))}
    marks = {"end_of_word_suffix": suffix} if suffix else {}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges, unk_token="<unk>", **marks))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


@settings(max_examples=150, deadline=None)
@given(
    pieces=st.lists(
        sums.map(lambda parts: parts[0]) | words.map(lambda part: f"##{part[:4]}"), min_size=1, max_size=40
    ),
    kept_for=texts,
)
def test_wordpiece(pieces: list[str], kept_for: list[str]) -> None:
    assert_same_cuts(wordpiece(pieces), kept_for)


@settings(max_examples=150, deadline=None)
@given(
    pieces=st.dictionaries(
        st.text(LETTERS + "▁", min_size=1, max_size=4), st.integers(-12, -1).map(float), min_size=1, max_size=40
    ),
    kept_for=texts,
    byte_fallback=st.booleans(),
)
def test_unigram_with_ties_and_unknown_characters(
    pieces: dict[str, float], kept_for: list[str], byte_fallback: bool
) -> None:
    assert_same_cuts(unigram(list(pieces.items()), byte_fallback=byte_fallback), kept_for)


@settings(max_examples=150, deadline=None)
@given(
    joins=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=50),
    kept_for=texts,
    suffix=st.sampled_from([None, "</w>"]),
)
def test_bpe(joins: list[tuple[int, int]], kept_for: list[str], suffix: str | None) -> None:
    assert_same_cuts(bpe(joins, suffix=suffix), kept_for)


@settings(max_examples=50, deadline=None)
@given(known=st.lists(words, min_size=1, max_size=20, unique=True), kept_for=texts)
def test_wordlevel(known: list[str], kept_for: list[str]) -> None:
    vocabulary = ["<unk>", *known]
    tokenizer = Tokenizer(models.WordLevel(vocab={word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    assert_same_cuts(tokenizer, kept_for)


def test_a_word_that_wordpiece_cannot_finish_stays_unknown() -> None:
    """Without the prefix that led there, "abcd" could be cut as ab + ##cd."""
    tokenizer = wordpiece(["abc", "ab", "##cd", "abe", "##x"])
    kept_for = ["abcd ab", "abe"]
    assert tokenizer.encode("abcd").tokens == ["[UNK]"]
    smaller, _ = trimmed(tokenizer, [*kept_for, "abex", "abcd"])
    assert smaller.token_to_id("abc") is not None
    assert_same_cuts(tokenizer, kept_for)


def test_the_score_of_unknown_characters_stays() -> None:
    """It is ten less than the smallest score; the piece that has it is in no text."""
    tokenizer = unigram([("a", -1.0), ("ab", -9.0), ("zz", -30.0), ("▁", -1.0)])
    smaller, _ = trimmed(tokenizer, ["ab"])
    assert smaller.token_to_id("zz") is not None
    assert_same_cuts(tokenizer, ["ab", "a b"])


def test_the_way_to_a_merged_piece_is_kept() -> None:
    ids = {piece: number for number, piece in enumerate(["<unk>", "a", "b", "c", "d", "ab", "cd", "abcd", "bc"])}
    merges = [("a", "b"), ("c", "d"), ("ab", "cd"), ("b", "c")]
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges, unk_token="<unk>"))
    assert tokenizer.encode("abcd").tokens == ["abcd"]
    smaller, _ = trimmed(tokenizer, ["abcd"])
    assert set(smaller.get_vocab()) == {"<unk>", "a", "b", "c", "d", "ab", "cd", "abcd"}
    assert smaller.encode("abcd").tokens == ["abcd"]
    assert json.loads(smaller.to_str())["model"]["merges"] == [["a", "b"], ["c", "d"], ["ab", "cd"]]


def test_a_piece_that_is_only_ever_whole() -> None:
    """Llama 3's tokenizer takes a word that is a piece as it is, even if no rules lead to it."""
    ids = {piece: number for number, piece in enumerate(["<unk>", "a", "b", "c", "abc", "ab"])}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[("a", "b")], unk_token="<unk>", ignore_merges=True))
    assert tokenizer.encode("abc").tokens == ["abc"]
    assert_same_cuts(tokenizer, ["abc"])


def test_every_byte_stays_where_pieces_are_bytes() -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = [*alphabet, "Ġt", "Ġth", "he"]
    tokenizer = Tokenizer(
        models.BPE(vocab={p: i for i, p in enumerate(vocabulary)}, merges=[("Ġ", "t"), ("Ġt", "h"), ("h", "e")])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    smaller, _ = trimmed(tokenizer, ["he"])
    assert set(smaller.get_vocab()) == {*alphabet, "he"}
    assert len(smaller.encode("𠮷 the жук").ids) > 0
    assert_same_cuts(tokenizer, ["he the 猫"])


def test_characters_of_the_scripts_that_occur_stay() -> None:
    tokenizer = wordpiece(["abc", "a", "b", "##a", "##b", "ж", "##ж", "猫", "##猫", "7", "##7", "!"])
    smaller, _ = trimmed(tokenizer, ["abc", "猫"], isolated={"猫"})
    assert set(smaller.get_vocab()) == {"[UNK]", "abc", "a", "b", "##a", "##b", "猫", "7", "##7", "!"}
    assert smaller.encode("ba ab").tokens == ["b", "##a", "a", "##b"]


def test_ids_are_renumbered_everywhere() -> None:
    tokenizer = wordpiece(["gone", "[CLS]", "[SEP]", "never", "cat", "[PAD]"])
    tokenizer.add_special_tokens(["[CLS]", "[SEP]", "[PAD]", "[NEW]"])
    tokenizer.add_tokens([AddedToken("two words", normalized=False)])
    single = "[CLS] $A [SEP]"
    special = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    template = processors.TemplateProcessing(single=single, pair=f"{single} $B [SEP]", special_tokens=special)
    tokenizer.post_processor = processors.Sequence([template])
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"), pad_token="[PAD]", length=6)
    smaller, kept = trimmed(tokenizer, ["cat"])
    order = ["[UNK]", "[CLS]", "[SEP]", "cat", "[PAD]", "[NEW]", "two words"]
    assert sorted(smaller.get_vocab(), key=smaller.get_vocab().__getitem__) == order
    assert smaller.encode("cat two words").ids == [
        order.index(name) for name in ("[CLS]", "cat", "two words", "[SEP]", "[PAD]", "[PAD]")
    ]
    assert smaller.encode("cat", "cat").tokens == ["[CLS]", "cat", "[SEP]", "cat", "[SEP]", "[PAD]"]
    np.testing.assert_array_equal(np.array(kept)[smaller.encode("cat").ids], tokenizer.encode("cat").ids)


@pytest.mark.parametrize("kind", [processors.BertProcessing, processors.RobertaProcessing])
def test_older_ways_to_add_special_tokens(kind: Any) -> None:
    tokenizer = wordpiece(["gone", "<s>", "</s>", "cat"])
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.post_processor = kind(("</s>", 3), ("<s>", 2))
    smaller, _ = trimmed(tokenizer, ["cat"])
    assert smaller.encode("CAT").ids == [1, 3, 2]
    assert smaller.encode("CAT").tokens == ["<s>", "cat", "</s>"]
