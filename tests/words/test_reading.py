"""Files of word vectors: every format, against gensim's own and sentence-transformers' reader; every way to be damaged."""

import gzip
import pickle
import re
import sys
import types
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from embedrt_export.words.reading import read_word_vectors
from embedrt_export.words.vectors import PADDING, WordVectors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentence_transformers.sentence_transformer.modules import WordEmbeddings

from embedrt.errors import CheckpointError

GENSIM = Path(__file__).parent / "gensim_files"
WORDS = ["the", "cat", "New_York", "猫", "naïve"]
ROWS = np.arange(20, dtype=np.float32).reshape(5, 4) / 7 - 1
TEXT = "the 0.5 -1 2e-3\ncat 1.25 .5 -0\n猫 3 4 5\n"
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)
NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=6)

Floats = npt.NDArray[np.float32]


def read(path: Path, content: str | bytes | None = None) -> WordVectors:
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_word_vectors(path, quiet=True)


def refusal(path: Path, content: str | bytes) -> str:
    with pytest.raises(CheckpointError) as refused:
        read(path, content)
    message = str(refused.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["inside.kv", "beside.kv", "whole.model", "vectors.bin", "vectors.txt"])
def test_files_of_gensim(name: str) -> None:
    found = read(GENSIM / name)
    order = [found.words.index(word) for word in WORDS]
    assert sorted(order) == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(found.rows[order], ROWS)
    assert found.words[0] == PADDING
    assert not found.rows[0].any()


def test_glove_text_is_read_as_sentence_transformers_does(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(500, 50))
    path = tmp_path / "glove.txt"
    path.write_text(
        "\n".join(f"w{number} {' '.join(f'{x:.5g}' for x in row)}" for number, row in enumerate(rows)) + "\n"
    )
    original = WordEmbeddings.from_text_file(str(path))
    found = read(path)
    assert found.words == list(original.tokenizer.get_vocab())
    np.testing.assert_array_equal(found.rows, original.emb_layer.weight.detach().numpy())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(NAMES, NUMBERS, NUMBERS), min_size=1, max_size=8, unique_by=lambda row: row[0]))
def test_text_and_binary_hold_the_same(tmp_path: Path, rows: list[tuple[str, float, float]]) -> None:
    matrix = np.array([row[1:] for row in rows], dtype=np.float32)
    header = f"{len(rows)} 2\n".encode()
    text = b"".join(
        f"{word} {' '.join(map(repr, map(float, row)))}\n".encode() for (word, *_), row in zip(rows, matrix)
    )
    binary = b"".join(word.encode() + b" " + row.tobytes() + b"\n" for (word, *_), row in zip(rows, matrix))
    kept = [word for word, *_ in rows if word != PADDING]
    for name, content in {"a.txt": text, "b.vec": header + text, "c.bin": header + binary}.items():
        found = read(tmp_path / name, content)
        assert found.words[1:] == kept
        np.testing.assert_array_equal(found.rows[1:], matrix[[word != PADDING for word, *_ in rows]])


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        "3 3\n" + TEXT,
        TEXT.replace("\n", " \n"),  # word2vec ends a line with a space
        TEXT.replace("\n", "\r\n"),
        TEXT.replace(" ", "\t"),
        TEXT.rstrip("\n"),
        TEXT + "\n\n",
        "\ufeff" + TEXT,
    ],
)
def test_spellings_of_text(tmp_path: Path, content: str) -> None:
    for name, data in {"plain.txt": content.encode(), "packed.txt.gz": gzip.compress(content.encode())}.items():
        found = read(tmp_path / name, data)
        assert found.words == [PADDING, "the", "cat", "猫"]
        np.testing.assert_array_equal(
            found.rows[1:], np.array([[0.5, -1, 0.002], [1.25, 0.5, 0], [3, 4, 5]], np.float32)
        )
        assert found.notes == ()


def test_words_with_spaces_and_other_marks(tmp_path: Path) -> None:
    found = read(tmp_path / "a.txt", "the 1 2\n. . 3 4\nat name@domain.com 5 6\n\u00a0 7 8\n# 9 10\n")
    assert found.words[1:] == ["the", ". .", "at name@domain.com", "\u00a0", "#"]
    np.testing.assert_array_equal(found.rows[1:, 1], [2, 4, 6, 8, 10])


def test_the_first_row_of_a_word_is_kept(tmp_path: Path) -> None:
    found = read(tmp_path / "a.vec", "6 1\na 1\nb 2\na 3\nc 4\nb 5\nd 6\n")
    assert found.words == [PADDING, "a", "b", "c", "d"]
    np.testing.assert_array_equal(found.rows[:, 0], [0, 1, 2, 4, 6])
    assert found.notes == ("line 4 has 'a' for the second time and 1 more: the first row of a word is kept",)
    assert read(tmp_path / "b.txt", "a 1\na 2\n").notes[0].startswith("line 2 has 'a' for the second time:")


def test_files_larger_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedrt_export.words.text_file._BLOCK", 50)
    monkeypatch.setattr("embedrt_export.words.binary_file._BLOCK", 7)
    rows = [f"w{number} {number} {number / 3}" for number in range(99)]
    packed = gzip.compress("\n".join(rows).encode())  # its size says nothing of the number of rows
    binary = b"".join(
        f"w{number} ".encode() + np.array([number, number / 3], dtype=np.float32).tobytes() for number in range(99)
    )
    for name, content in {"a.txt": "\n".join(rows).encode(), "b.txt.gz": packed, "c.bin": b"99 2\n" + binary}.items():
        found = read(tmp_path / name, content)
        assert found.words[1:] == [f"w{number}" for number in range(99)]
        np.testing.assert_allclose(found.rows[1:, 1], np.arange(99) / 3, rtol=1e-6)
    message = refusal(tmp_path / "d.txt", "\n".join([*rows[:70], "w 1 2 3", *rows[70:]]))
    assert "line 71 has 3 numbers behind 'w', expected 2" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a 1 2\nb 1\n", "line 2 has 1 number behind 'b', expected 2 by the first line"),
        ("a 1 2\nb 1 2 3\n", "line 2 has 3 numbers behind 'b', expected 2"),
        ("2 3\na 1 2 3\nb 1 2\n", "line 3 has 2 numbers behind 'b', expected 3 by line 1"),
        ("2 2\na 1 2 3\nb 1 2 3\n", "line 2 has 3 numbers behind 'a', expected 2 by line 1"),
        ("a 1 2\nb nan 2\n", "line 2 has 'nan' as number 1 of 'b', expected a finite number"),
        ("a 1 2\nb 1 -inf\n", "line 2 has '-inf' as number 2 of 'b'"),
        ("a 1 2\nb 1 1e39\n", "line 2 has '1e39' as number 2 of 'b', expected a finite number that float32 can hold"),
        ("a 1 2\nb 1 x\n", "line 2 has 'x' as number 2 of 'b'"),
        ("a 1 2\n\nb 1 2\n", "line 2 is empty, expected a word and its numbers"),
        ("3 2\na 1 2\nb 1 2\n", "has 3 words by line 1, but 2 lines follow"),
        ("1 2\na 1 2\nb 1 2\n", "has 1 words by line 1, but 2 lines follow"),
        ("0 2\na 1 2\n", "line 1 says 0 words of 2 numbers, expected at least 1"),
        ("900 300\na 1 2\n", "line 1 says 900 words of 300 numbers, which its 14 bytes cannot hold"),
        ("", "holds no vectors"),
        ("word\n", "line 1 has 0 numbers behind 'word'"),
        ("a 1 2\ncaf\xe9 1 2\n".encode("latin-1"), "line 2 is not UTF-8: its word is b'caf\\xe9'. Convert the file"),
        ("a 1 2\n".encode("utf-16"), "line 1 is UTF-16, expected UTF-8"),
        (b"PK\x03\x04....", "is a .zip archive"),
        (b"\xba\x16\x4f\x2f\x0c\x00", "is a whole fastText model"),
    ],
)
def test_damaged_text(tmp_path: Path, content: str | bytes, expected: str) -> None:
    assert expected in refusal(tmp_path / "bad.txt", content)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data[:-3], r"ends, or is no such file, within word 5"),
        (lambda data: data[:40], r"within word 2 \(b'cat"),
        (lambda data: data + b"more and more", r"goes on behind them"),
        (
            lambda data: data.replace(b"5 4\n", b"5 3\n"),
            r"word 2 (is not UTF-8|has (nan|-?inf))|goes on behind|within word",
        ),
        (
            lambda data: data.replace(np.float32(0).tobytes(), np.float32(np.nan).tobytes()),
            r"word 2 has nan as number 4 of 'cat'",
        ),
        (lambda data: data.replace("naïve".encode(), b"na\xefve"), r"word 5 is not UTF-8"),
    ],
)
def test_damaged_binary(tmp_path: Path, change: object, expected: str) -> None:
    data = (GENSIM / "vectors.bin").read_bytes()
    assert callable(change)
    assert re.search(expected, refusal(tmp_path / "bad.bin", change(data)))


class Evil:
    """A pickle that would run a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch /tmp/should-not-be-here",)


def test_damaged_pickles(tmp_path: Path) -> None:
    assert "asks for posix.system" in refusal(tmp_path / "evil.kv", pickle.dumps(Evil()))
    assert "is no file of gensim's" in refusal(tmp_path / "cut.kv", (GENSIM / "inside.kv").read_bytes()[:300])
    assert "is no file of gensim's" in refusal(tmp_path / "number.kv", pickle.dumps(7))
    assert "has no list of words" in refusal(tmp_path / "empty.kv", _of_gensim({}))
    beside = (GENSIM / "beside.kv").read_bytes()
    assert "keeps its matrix in beside.kv.vectors.npy, which is not beside it" in refusal(
        tmp_path / "beside.kv", beside
    )
    (tmp_path / "beside.kv.vectors.npy").write_bytes(b"\x93NUMPY nonsense")
    assert "is no whole .npy file" in refusal(tmp_path / "beside.kv", beside)
    np.save(tmp_path / "beside.kv.vectors.npy", ROWS[:3])
    assert "has 5 words and a matrix (3, 4)" in refusal(tmp_path / "beside.kv", beside)
    np.save(tmp_path / "beside.kv.vectors.npy", np.where(np.isclose(ROWS, ROWS[3, 1]), np.nan, ROWS))
    assert "not finite in the vector of '猫', word 4" in refusal(tmp_path / "beside.kv", beside)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("999999999999 300", "but ends, or is no such file, within word 2"),
        ("9 3000000000", "line 1 says 9 words of 3000000000 numbers, expected at most 65536: correct line 1"),
        (f"{'9' * 5000} 300", "line 1 is a number of 5000 digits, expected how many words there are"),
    ],
    ids=["words", "dimension", "digits"],
)
def test_packed_files_that_promise_too_much(tmp_path: Path, header: str, expected: str) -> None:
    content = f"{header}\ncat ".encode() + np.ones(300, np.float32).tobytes()
    assert expected in refusal(tmp_path / "bad.bin.gz", gzip.compress(content))


def test_packed_text_that_promises_too_much(tmp_path: Path) -> None:
    content = gzip.compress(b"999999999999 2\ncat 1 2\n")
    assert "has 999999999999 words by line 1, but 1 lines follow" in refusal(tmp_path / "bad.txt.gz", content)


def _of_gensim(state: dict[str, object]) -> bytes:
    """A pickled object of a class that gensim 3 had, with these attributes."""
    module = types.ModuleType("gensim.models.keyedvectors")
    kind = type("Word2VecKeyedVectors", (), {"__module__": module.__name__})
    setattr(module, kind.__name__, kind)
    parts = {
        "gensim": types.ModuleType("gensim"),
        "gensim.models": types.ModuleType("gensim.models"),
        module.__name__: module,
    }
    made = kind()
    made.__dict__.update(state)
    with pytest.MonkeyPatch.context() as patch:
        for name, part in parts.items():
            patch.setitem(sys.modules, name, part)
        return pickle.dumps(made, protocol=2)


def test_vectors_of_gensim_3(tmp_path: Path) -> None:
    found = read(
        tmp_path / "old.kv", _of_gensim({"index2word": WORDS, "vectors": ROWS.astype(np.float64), "vocab": {}})
    )
    assert found.words[1:] == WORDS
    np.testing.assert_array_equal(found.rows[1:], ROWS)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no file at"):
        read(tmp_path / "nothing.txt")
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(TEXT.encode())[:-9])
    with pytest.raises(CheckpointError, match="cannot be read to its end"):
        read(tmp_path / "cut.txt.gz")
