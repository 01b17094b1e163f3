"""One file of texts, whole: every form gives the same records."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from embedrt.corpus.lines import as_json, record_of
from embedrt.corpus.reading import read_records, read_texts
from embedrt.errors import InputError

RECORDS: list[dict[str, Any]] = [
    {"id": "1", "text": 'hello, "world"\u2028!'},
    {"id": "2", "text": "忘记密码怎么办？"},
    {"id": "3", "text": ""},
]


def _table(delimiter: str) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, ["id", "text"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(RECORDS)
    return file.getvalue().encode()


CONTENT = {
    ".jsonl": "".join(json.dumps(record) + "\n\n" for record in RECORDS).encode(),
    ".csv": b"\xef\xbb\xbf" + _table(","),
    ".tsv": _table("\t"),
}


@pytest.mark.parametrize("suffix", [*CONTENT, ".parquet"])
def test_every_form_gives_the_same_records(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"texts{suffix}"
    if suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(RECORDS), path)
    else:
        path.write_bytes(CONTENT[suffix])
        packed = path.with_name(f"{path.name}.gz")
        packed.write_bytes(gzip.compress(CONTENT[suffix]))
        assert read_records(str(packed), text_field="text") == RECORDS
    assert read_records(str(path), text_field="text") == RECORDS
    assert [record["id"] for record in read_records(str(path), text_field="id")] == ["1", "2", "3"]
    assert read_texts(str(path), text_field="id") == ["1", "2", "3"]


@pytest.mark.parametrize("name", ["T.CSV", "T.Tsv.GZ", "T.JSONL", "T.PARQUET"])
def test_names_in_capitals(tmp_path: Path, name: str) -> None:
    path, plain = tmp_path / name, name.lower().removesuffix(".gz")[1:]
    if plain == ".parquet":
        parquet.write_table(pa.Table.from_pylist(RECORDS), path)
    else:
        path.write_bytes(gzip.compress(CONTENT[plain]) if name.endswith(".GZ") else CONTENT[plain])
    assert read_records(str(path), text_field="text") == RECORDS


@pytest.mark.parametrize("name", ["texts.txt", "texts", "texts.md"])
def test_a_text_a_line(tmp_path: Path, name: str) -> None:
    content = "\ufeffa, b\r\n\n c\u2028d \nlast".encode()
    expected = [{"text": text} for text in ("a, b", "", " c\u2028d ", "last")]
    (tmp_path / name).write_bytes(content)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    assert read_records(str(tmp_path / name), text_field="text") == expected
    assert read_records(str(tmp_path / f"{name}.gz"), text_field="text") == expected


def test_stdin_is_a_text_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "a"}\nb\n')))
    assert read_records("-", text_field="text") == [{"text": '{"text": "a"}'}, {"text": "b"}]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\n\xff\n")))
    with pytest.raises(InputError, match=r"^stdin, line 2 is not UTF-8 text"):
        read_records("-", text_field="text")
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(
        InputError, match=r"stdin is closed, and - reads texts from it: pass a file of texts, or open it$"
    ):
        read_records("-", text_field="text")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"id,body\n1,a\n", r"a\.csv has no column 'text', it has id, body: see --text-field"),
        ("a.csv", b"id,text\n1\n", r"a\.csv, line 2 has 1 fields, and the first line names 2$"),
        ("a.csv", b'text\n"no end', r"a\.csv, line 2 cannot be read: unexpected end of data"),
        (
            "a.csv",
            b"text,id,text\na,1,b\n",
            r"a\.csv has several columns 'text': give each a name of its own in the fi",
        ),
        (
            "a.json",
            b'[{"text": "a"}]',
            r"a\.json ends in '\.json', expected \.jsonl: write an object {'text': …} a line$",
        ),
        ("A.JSON.gz", b"", r"A\.JSON\.gz ends in '\.json', expected \.jsonl: "),
        ("a.csv", b"", r"a\.csv has no column 'text', it has none"),
        (
            "a.csv.gz",
            gzip.compress("text\na\nGrüße\n".encode("latin-1"), mtime=0),
            r"a\.csv\.gz, line 3 is not UTF-8 text",
        ),
        ("a.txt.gz", b"not packed", r"a\.txt\.gz cannot be read: Not a gzipped file"),
        ("a.txt", b"a\n\xff\n", r"a\.txt, line 2 is not UTF-8 text"),
        (
            "a.jsonl",
            b'{"text": 5}\n',
            r"a\.jsonl, line 1 has no text under 'text': it has a int there, name the right key with --text-field$",
        ),
        ("a.jsonl", b'["a"]\n', r"has no text under 'text': it holds a list, expected an object$"),
        ("a.jsonl", b"{}\n", r"has no text under 'text': it has no key, name the right one with --text-field$"),
        (
            "a.jsonl",
            b'{"id": 1, "body": "b"}\n',
            r"under 'text': it has id, body, name the right one with --text-field$",
        ),
        (
            "a.jsonl",
            b'{"text": "\\ud83d\\ude00"}\n{"text": "ok", "title": "cut \\ud83d"}\n',
            r"a\.jsonl, line 2 holds half of a surrogate pair, which is no character: mend or remove the line$",
        ),
        ("a.parquet", b"PAR1", r"a\.parquet cannot be read as \.parquet"),
    ],
)
def test_a_file_that_is_not_what_its_name_says(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_records(str(tmp_path / name), text_field="text")


def test_a_parquet_file_without_the_texts(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": ["a", None], "id": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet, row 1 \(from 0\) has no text under 'text'"):
        read_records(str(tmp_path / "a.parquet"), text_field="text")
    with pytest.raises(InputError, match=r"has no column 'body', it has text, id: see --text-field"):
        read_records(str(tmp_path / "a.parquet"), text_field="body")


def test_what_python_cannot_hold(tmp_path: Path) -> None:
    """A year beyond 9999, in a column that texts alone have no need of."""
    far = pa.array([2**58], pa.timestamp("us"))
    parquet.write_table(pa.table({"text": ["a"], "when": far}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet, column 'when' holds what Python cannot: .* Turn the column int"):
        read_records(str(tmp_path / "a.parquet"), text_field="text")
    assert read_texts(str(tmp_path / "a.parquet"), text_field="text") == ["a"]


def test_what_is_no_number_is_null_in_json() -> None:
    nothing, whole = float("nan"), {"text": "a", "number": 3.5}
    written = as_json({**whole, "missing": [{"inside": nothing}], "large": float("-inf")})
    assert record_of(written, 1, "out.jsonl", "text") == {**whole, "missing": [{"inside": None}], "large": None}


def test_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"gone\.parquet cannot be read: No such file or directory. Pass a file of texts"
    ):
        read_records(str(tmp_path / "gone.parquet"), text_field="text")
    with pytest.raises(
        InputError, match=r"cannot be read: Is a directory. Pass a file of texts .*; embedrt map takes folders$"
    ):
        read_records(str(tmp_path), text_field="text")
    with pytest.raises(InputError, match=r"^'' cannot be read: "):
        read_records("", text_field="text")
