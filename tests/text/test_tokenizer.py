"""Texts to token rows: literal ids, one truncation, no padding, from any thread."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from embedrt.errors import ArtifactNotFoundError, InputError, IntegrityError
from embedrt.text.tokenizer import TextTokenizer

Write = Callable[..., Path]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)  # no halves of surrogate pairs


@pytest.fixture(scope="module")
def tokenizer(tiny: Path) -> TextTokenizer:
    return TextTokenizer(tiny / "tokenizer.json")


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", [2, 3]),
        ("hello", [2, 21, 3]),
        ("Hello, WORLD!", [2, 21, 27, 22, 23, 3]),
        ("忘记密码", [2, 28, 29, 30, 31, 3]),
        ("cats", [2, 17, 40, 3]),
        ("zebra", [2, 1, 3]),
        ("[PAD] hello", [2, 1, 1, 1, 21, 3]),  # a text cannot smuggle in a special token
    ],
)
def test_ids_of_a_text(tokenizer: TextTokenizer, text: str, ids: list[int]) -> None:
    np.testing.assert_array_equal(tokenizer.encode([text]).row(0), ids)


def test_rows_lie_end_to_end_and_nothing_is_padded(tokenizer: TextTokenizer) -> None:
    rows = tokenizer.encode(["hello world", "", "cat"])
    np.testing.assert_array_equal(rows.ids, [2, 21, 22, 3, 2, 3, 2, 17, 3])
    np.testing.assert_array_equal(rows.lengths, [4, 2, 3])
    np.testing.assert_array_equal(rows.starts, [0, 4, 6])
    assert {rows.ids.dtype, rows.lengths.dtype, rows.starts.dtype} == {np.dtype(np.int64)}
    assert len(rows) == 3


def test_no_texts_are_no_rows(tokenizer: TextTokenizer) -> None:
    rows = tokenizer.encode([])
    assert (len(rows), rows.ids.shape, rows.starts.shape) == (0, (0,), (0,))


@settings(deadline=None)
@given(texts=st.lists(TEXTS, max_size=8))
def test_each_row_is_what_the_text_gives_alone(tiny: Path, tokenizer: TextTokenizer, texts: list[str]) -> None:
    original = Tokenizer.from_file(str(tiny / "tokenizer.json"))
    original.no_padding()
    rows = tokenizer.encode(texts)
    assert [rows.row(index).tolist() for index in range(len(rows))] == [original.encode(text).ids for text in texts]
    assert len(rows.ids) == rows.lengths.sum()


@pytest.mark.parametrize(
    ("baked", "asked", "limit", "tokens"),
    [(16, None, 16, 16), (16, 6, 6, 6), (6, 16, 16, 16), (None, None, None, 42), (None, 5, 5, 5), (6, 6, 6, 6)],
)
def test_texts_are_cut_at_the_maximum_length(
    tmp_path: Path, write_tokenizer: Write, baked: int | None, asked: int | None, limit: int | None, tokens: int
) -> None:
    path = write_tokenizer(tmp_path, max_length=baked)
    tokenizer = TextTokenizer(path, max_seq_length=asked)
    assert tokenizer.max_seq_length == limit
    row = tokenizer.encode(["cat " * 40]).row(0)
    assert len(row) == tokens
    assert (row[0], row[-1]) == (2, 3)


def test_the_side_that_is_cut_survives_another_length(tmp_path: Path, write_tokenizer: Write) -> None:
    path = write_tokenizer(tmp_path)
    original = Tokenizer.from_file(str(path))
    original.enable_truncation(16, direction="left")
    original.save(str(path))
    row = TextTokenizer(path, max_seq_length=4).encode(["a cat hello world"]).row(0)
    np.testing.assert_array_equal(row, [2, 21, 22, 3])


def test_pieces_of_a_text(tokenizer: TextTokenizer) -> None:
    assert tokenizer.tokens("Cats 你好 zebra") == ["[CLS]", "cat", "##s", "你", "好", "[UNK]", "[SEP]"]


def test_many_threads_share_a_tokenizer(tokenizer: TextTokenizer) -> None:
    texts = [["hello " * (index % 9), "cat"] for index in range(64)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda pair: tokenizer.encode(pair).ids.tolist(), texts))
    assert found == [[2, *[21] * (index % 9), 3, 2, 17, 3] for index in range(64)]


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFoundError, match=r"no tokenizer\.json in .*: copy the one of the checkpoint"):
        TextTokenizer(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("content", ["", "{", "{}", '{"model": {"type": "Unheard"}}'])
def test_a_broken_tokenizer_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"tokenizer\.json is not a tokenizer that this machine's tokenizers"):
        TextTokenizer(tmp_path / "tokenizer.json")


def test_half_a_surrogate_pair_is_named(tokenizer: TextTokenizer) -> None:
    with pytest.raises(InputError, match=r"sentences\[1\] holds half of a surrogate pair.*errors='replace'"):
        tokenizer.encode(["hello", "\ud83d"])


def test_pieces_are_all_there_beyond_the_limit(tokenizer: TextTokenizer) -> None:
    text = "猫 cats " + "hello " * 20
    pieces = tokenizer.pieces(text)
    assert len(pieces) == 2 + 3 + 20  # of which 16 are run
    assert [piece.token for piece in pieces if piece.special] == ["[CLS]", "[SEP]"]
    assert (pieces[0].token, pieces[-1].token) == ("[CLS]", "[SEP]")
    assert [text[piece.start : piece.stop] for piece in pieces[1:-1]] == ["猫", "cat", "s", *["hello"] * 20]
    bare = tokenizer.pieces(text, special_tokens=False)
    assert [piece.id for piece in bare] == [piece.id for piece in pieces[1:-1]]
    assert [piece.token for piece in tokenizer.pieces("")] == ["[CLS]", "[SEP]"]


def test_decode(tiny: Path, tmp_path: Path) -> None:
    written = Tokenizer.from_file(str(tiny / "tokenizer.json"))
    written.add_special_tokens(["[CLS]", "[SEP]"])
    written.save(str(tmp_path / "tokenizer.json"))
    tokenizer = TextTokenizer(tmp_path / "tokenizer.json")
    ids = tokenizer.encode(["a cat"]).row(0).tolist()
    assert tokenizer.decode(ids) == "a cat"
    assert tokenizer.decode(ids, skip_special_tokens=False) == "[CLS] a cat [SEP]"
    assert max(ids) < tokenizer.vocabulary_size == 43
