"""Files into pieces: the same rows in the same piece, whatever the kind of file."""

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from embedrt.corpus.sources import Piece, Reading, Source, find_sources, pieces
from embedrt.errors import InputError, MissingDependencyError

Texts = Callable[..., list[str]]


def read(path: Path, *, rows: int = 10, without: frozenset[int] = frozenset(), **how: Any) -> tuple[list[Piece], float]:
    """The pieces, and the bytes that those which were not wanted have."""
    told: list[float] = []
    found = pieces(
        Source(path, path.name),
        Reading(rows=rows, **how),
        wanted=lambda number: number not in without,
        advance=told.append,
    )
    return list(found), sum(told)


def test_files_and_folders(corpus: Path) -> None:
    names = [source.name for source in find_sources([corpus, corpus / "b/c.jsonl"])]
    assert names == ["a.txt", "b/c.jsonl", "b/d.jsonl.gz", "e.parquet", "c.jsonl"]


def test_names_in_capitals(tmp_path: Path) -> None:
    for name, content in (("a.txt", "a"), ("B.TXT", "b"), ("C.CSV", "text\nc"), ("d.Jsonl", '{"text": "d"}')):
        (tmp_path / name).write_text(content, encoding="utf-8")
    parquet.write_table(pa.table({"text": ["e"]}), tmp_path / "E.PARQUET")
    found = [text for source in find_sources([tmp_path]) for piece in read(source.path)[0] for text in piece.texts]
    assert sorted(found) == ["a", "b", "c", "d", "e"]
    assert [source.name for source in find_sources([tmp_path / "C.CSV"])] == ["C.CSV"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["notes.md"], r"notes\.md ends in '\.md', expected one of \.txt, "),
        (["nothing"], r"there is no file or folder at .*nothing: pass files that end in one of "),
        (["empty"], r"empty has no file that ends in one of "),
        (["a.txt", "b", "other"], r"c\.jsonl and .*other/c\.jsonl are both called c\.jsonl: pass the folder"),
    ],
)
def test_what_is_no_corpus(corpus: Path, inputs: list[str], message: str) -> None:
    (corpus / "empty").mkdir()
    (corpus / "other").mkdir()
    (corpus / "other/c.jsonl").touch()
    with pytest.raises(InputError, match=message):
        find_sources([corpus / name for name in inputs])


def test_parquet_without_pyarrow(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    find_sources([corpus / "a.txt"])
    with pytest.raises(MissingDependencyError, match=r'type pip install "embedrt\[parquet\]"'):
        find_sources([corpus])


@pytest.mark.parametrize(
    ("name", "first"), [("a.txt", 0), ("b/c.jsonl", 100), ("b/d.jsonl.gz", 200), ("e.parquet", 300)]
)
def test_every_row_is_in_its_piece(corpus: Path, texts: Texts, name: str, first: int) -> None:
    found, told = read(corpus / name, rows=5)
    whole = [text for piece in found for text in piece.texts]
    assert whole == texts(len(whole), first)
    assert [len(piece.texts) for piece in found[:-1]] == [5] * (len(found) - 1)
    assert [piece.number for piece in found] == list(range(len(found)))
    assert told == 0
    assert sum(piece.bytes for piece in found) == pytest.approx((corpus / name).stat().st_size)
    rest, told = read(corpus / name, rows=5, without=frozenset({0}))
    assert [(piece.number, piece.texts) for piece in rest] == [(piece.number, piece.texts) for piece in found[1:]]
    assert told == pytest.approx(found[0].bytes)


def test_lines_are_those_of_embed(tmp_path: Path) -> None:
    path = tmp_path / "odd.txt"
    path.write_bytes(b"\xef\xbb\xbfa cat\r\n\r\n" + "one\u2028text\n".encode() + b"no end")
    [piece], _ = read(path)
    assert piece.texts == ["a cat", "", "one\u2028text", "no end"]


TABLE = 'id,text\n1,"a ""quoted"" cat, with a comma"\n\n2,"two\nlines"\n3,\n'


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.tsv"])
def test_a_table_of_text(tmp_path: Path, name: str) -> None:
    content = TABLE if "csv" in name else 'id\ttext\n1\t"a ""quoted"" cat, with a comma"\n2\t"two\nlines"\n3\t\n'
    packed = gzip.compress(content.encode()) if name.endswith(".gz") else b"\xef\xbb\xbf" + content.encode()
    (tmp_path / name).write_bytes(packed)
    found, _ = read(tmp_path / name, rows=2)
    assert [piece.texts for piece in found] == [['a "quoted" cat, with a comma', "two\nlines"], [""]]
    assert [record["id"] for piece in found for record in piece.fields] == ["1", "2", "3"]
    assert sum(piece.bytes for piece in found) == len(packed)


def test_long_fields(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"text\n{'a' * 200_000}\n", encoding="utf-8")
    before = csv.field_size_limit(1234)
    [piece], _ = read(tmp_path / "t.csv")
    assert len(piece.texts[0]) == 200_000
    assert csv.field_size_limit(before) == 1234


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"id,body\n1,a\n",
            "has no column 'text', it has id, body: see --text-field. The first line must name the columns",
        ),
        (b"", "has no column 'text', it has none: see --text-field"),
        (b'text\n"no end', r"t\.csv, line 2 cannot be read: unexpected end of data$"),
        (b'text\na\n"b" c\nd\n', r"""t\.csv, line 3 cannot be read: ',' expected after '"'$"""),
        (b"text,\xff\n", r"t\.csv, line 1 is not UTF-8 text: convert the file, or pass another one$"),
    ],
)
def test_what_is_no_table(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "t.csv", skip_invalid=True)


def test_rows_that_are_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"text,id\n" + b"a,1\n" * 9999 + b"b,\xff\nc,2\n")
    with pytest.raises(InputError, match=r"t\.csv, line 10001 is not UTF-8 text: .* Or leave such rows out"):
        read(tmp_path / "t.csv", rows=20_000)
    [piece], _ = read(tmp_path / "t.csv", rows=20_000, skip_invalid=True)
    assert (len(piece.texts), piece.texts[-1], piece.skipped) == (10_000, "c", 1)


def test_rows_of_another_width(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,text\n1,a\n2,b,c\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"t\.csv, line 3 has 3 fields, and the first line names 2\. Or leave such rows"
    ):
        read(tmp_path / "t.csv")
    [piece], _ = read(tmp_path / "t.csv", skip_invalid=True)
    assert (piece.texts, piece.skipped) == (["a"], 1)


def test_fields_that_a_table_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("id\ttext\n1\ta\n", encoding="utf-8")
    [piece], _ = read(tmp_path / "t.tsv", keep=("id",))
    assert piece.fields == [{"id": "1"}]
    with pytest.raises(InputError, match=r"t\.tsv has no column 'nope', it has id, text: see --keep$"):
        read(tmp_path / "t.tsv", keep=("id", "nope"))


def test_what_stands_beside_the_texts(corpus: Path) -> None:
    [piece, _], _ = read(corpus / "b/c.jsonl")
    assert piece.fields[1] == {"id": 1, "text": piece.texts[1]}
    [piece, _], _ = read(corpus / "b/c.jsonl", keep=("id", "nowhere"))
    assert piece.fields[1] == {"id": 1}
    [piece, *_], _ = read(corpus / "e.parquet", keep=("number",))
    assert piece.fields.schema == pa.schema({"number": pa.int16()})
    assert piece.fields["number"].to_pylist() == list(range(10))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'{"text": "a"}\n{"text": 5}\n',
            r"line 2 has no text under 'text': .* Or leave such rows out with --skip-inv",
        ),
        (b'{"text": "a"}\n\n{"text": \n', r"line 3 is not JSON: .* Or leave such rows out"),
        (b'{"text": "a"}\n{"text": "\xff"}\n', r"line 2 is not UTF-8 text: .* Or leave such rows out"),
        (b'{"text": "a"}\n{"text": "\\ud83d"}\n', r"line 2 holds half of a surrogate pair, .* Or leave such rows"),
        (b'{"text": "a"}\n{"text": "b", "of": [{"\\uDC00": 1}]}\n', r"line 2 holds half of a surrogate pair"),
        (
            b'{"text": "a"}\n{"text": "b", "n": NaN}\n',
            r"line 2 cannot be read: NaN is no JSON: mend or remove the line",
        ),
        (b'{"text": "a"}\n{"text": "b", "n": [-Infinity]}\n', r"line 2 cannot be read: -Infinity is no JSON: mend"),
        (b'{"text": "a"}\n{"text": "b", "n": %s}\n' % (b"7" * 5000), r"line 2 cannot be read: Exceeds the limit "),
        (b'{"text": "a"}\n{"text": "b", "n": %s}\n' % (b"[" * 200_000), r"line 2 cannot be read: maximum recursion"),
        (
            b'{"text": "a"}\n{"text": "\\u00e9", "n": %s%s}\n' % (b"[" * 1500, b"]" * 1500),
            r"line 2 cannot be read: maximum recursion depth .*: mend or remove the line\. Or leave such rows out",
        ),
    ],
)
def test_rows_without_a_text(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(path)
    [piece], _ = read(path, skip_invalid=True)
    assert (piece.texts, piece.fields, piece.skipped) == (["a"], [{"text": "a"}], 1)


def test_rows_of_a_table_without_a_text(tmp_path: Path) -> None:
    path = tmp_path / "odd.parquet"
    parquet.write_table(pa.table({"text": ["a", "b", "c", None], "n": [0, 1, 2, 3]}), path)
    with pytest.raises(InputError, match=r"row 3 \(from 0\) has no text under 'text'\. Or leave such rows out"):
        read(path, rows=2)
    found, _ = read(path, rows=2, skip_invalid=True)
    assert [(piece.texts, piece.fields["n"].to_pylist(), piece.skipped) for piece in found] == [
        (["a", "b"], [0, 1], 0),
        (["c"], [2], 1),
    ]
    with pytest.raises(InputError, match="has no column 'body', it has text, n: see --text-field"):
        read(path, text_field="body")
    with pytest.raises(InputError, match="has no column 'm', it has text, n: see --keep"):
        read(path, keep=("n", "m"))


def test_what_python_cannot_hold(tmp_path: Path) -> None:
    """It may stay a column, but is no part of a record."""
    path = tmp_path / "far.parquet"
    parquet.write_table(pa.table({"text": ["a"], "when": pa.array([2**58], pa.timestamp("us"))}), path)
    [piece], _ = read(path)
    assert piece.fields.num_rows == 1
    with pytest.raises(InputError, match=r"far\.parquet, column 'when' holds what Python cannot: "):
        read(path, as_records=True, skip_invalid=True)
    [some], _ = read(path, as_records=True, keep=("text",))
    [none], _ = read(path, as_records=True, keep=())
    assert (some.fields, none.fields) == ([{"text": "a"}], [{}])


@pytest.mark.parametrize("name", ["cut.jsonl.gz", "cut.txt.gz", "cut.parquet"])
def test_a_file_that_was_cut_short(corpus: Path, tmp_path: Path, name: str) -> None:
    whole = (
        (corpus / "e.parquet").read_bytes() if name.endswith("parquet") else gzip.compress(b'{"text": "a"}\n' * 9999)
    )
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=rf"{name} cannot be read"):
        read(tmp_path / name)


def test_a_file_with_other_bytes_in_it(tmp_path: Path) -> None:
    whole = gzip.compress("".join(f"text {number * number}\n" for number in range(9999)).encode())
    (tmp_path / "odd.txt.gz").write_bytes(whole[:500] + bytes(500) + whole[1000:])
    with pytest.raises(InputError, match=r"odd\.txt\.gz cannot be read"):
        read(tmp_path / "odd.txt.gz")
