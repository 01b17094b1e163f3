"""``embedrt embed``: files in and out, exit codes, and what goes to which stream."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pytest
from pyarrow import parquet

from embedrt import SentenceEncoder
from embedrt.corpus import writing

Run = Callable[..., Any]
Refused = Callable[[Any, int, str], None]
TEXTS = ["How do I reset my password?", "", "忘记密码怎么办？", "a cat sat on the mat"]  # as in conftest.py
QUERY = "[query] :cat: "


def lines_of(content: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.split("\n")[:-1]]


def vectors_of(records: list[dict[str, Any]]) -> npt.NDArray[np.float32]:
    return np.array([record["embedding"] for record in records], dtype=np.float32)


def test_embed_npy(run: Run, tiny: Path, encoder: SentenceEncoder, text_file: Path, tmp_path: Path) -> None:
    ended = run("embed", tiny, text_file, "--output", tmp_path / "out.npy")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == f"{tmp_path / 'out.npy'}: 4 vectors of 8 × float32\n"
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), encoder.encode(TEXTS), strict=True)


def test_embed_to_stdout(run: Run, tiny: Path, encoder: SentenceEncoder, text_file: Path) -> None:
    ended = run("embed", tiny, text_file)
    assert (ended.code, ended.err) == (0, "")
    records = lines_of(ended.out)
    assert [record["text"] for record in records] == TEXTS
    assert TEXTS[2] in ended.out  # not \u-escaped
    np.testing.assert_array_equal(vectors_of(records), encoder.encode(TEXTS))


@pytest.mark.parametrize("options", [("--batch-size", "1"), ("--threads", "1"), ("--quiet",), ("--device", "cpu")])
def test_how_it_runs_changes_no_bit(
    run: Run, tiny: Path, encoder: SentenceEncoder, text_file: Path, options: tuple[str, ...]
) -> None:
    ended = run("embed", tiny, text_file, *options)
    np.testing.assert_array_equal(vectors_of(lines_of(ended.out)), encoder.encode(TEXTS))


def test_embed_quietly(run: Run, tiny: Path, text_file: Path, tmp_path: Path) -> None:
    assert run("embed", tiny, text_file, "-o", tmp_path / "out.npy", "-q") == (0, "", "")
    assert (tmp_path / "out.npy").is_file()


RECORDS = [
    {"id": 1, "body": TEXTS[0], "tags": ["x"], "embedding": "old"},
    {"id": 2, "body": TEXTS[2], "later": "only here"},
]


@pytest.fixture
def record_file(tmp_path: Path) -> Path:
    path = tmp_path / "records.jsonl"
    path.write_text("".join(json.dumps(record) + "\n\n" for record in RECORDS), encoding="utf-8")
    return path


def test_embed_jsonl_keeps_fields(
    run: Run, tiny: Path, encoder: SentenceEncoder, record_file: Path, tmp_path: Path
) -> None:
    assert run("embed", tiny, record_file, "--text-field", "body", "-o", tmp_path / "out.jsonl").code == 0
    records = lines_of((tmp_path / "out.jsonl").read_text(encoding="utf-8"))
    np.testing.assert_array_equal(vectors_of(records), encoder.encode([TEXTS[0], TEXTS[2]]))
    for record, given in zip(records, RECORDS, strict=True):
        assert {**record, "embedding": 0} == {**given, "embedding": 0}


def test_embed_parquet_keeps_fields(
    run: Run, tiny: Path, encoder: SentenceEncoder, record_file: Path, tmp_path: Path
) -> None:
    assert run("embed", tiny, record_file, "--text-field", "body", "-o", tmp_path / "out.parquet").code == 0
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["id", "body", "tags", "later", "embedding"]
    assert table["later"].to_pylist() == [None, "only here"]
    assert str(table.schema.field("embedding").type).startswith("fixed_size_list<element: float>[8]")
    np.testing.assert_array_equal(vectors_of(table.to_pylist()), encoder.encode([TEXTS[0], TEXTS[2]]))


@pytest.mark.parametrize("suffix", [".npy", ".jsonl", ".parquet"])
def test_no_text_gives_no_vector(run: Run, tiny: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    ended = run("embed", tiny, "-", "-o", path)
    assert (ended.code, ended.err) == (0, f"{path}: 0 vectors of 8 × float32\n")
    found: object = path.read_bytes()
    if suffix != ".jsonl":
        found = np.load(path).shape if suffix == ".npy" else parquet.read_table(path).num_rows
    assert found == {".npy": (0, 8), ".jsonl": b"", ".parquet": 0}[suffix]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"\xef\xbb\xbfa cat\r\n\r\nhello\r\n", ["a cat", "", "hello"]),
        ("one\u2028text\x85\x0c\nhello".encode(), ["one\u2028text\x85\x0c", "hello"]),
        (b"\n\n", ["", ""]),
        (b" a cat \n", [" a cat "]),
    ],
)
def test_lines(run: Run, tiny: Path, encoder: SentenceEncoder, content: bytes, texts: list[str]) -> None:
    records = lines_of(run("embed", tiny, "-", stdin=content).out)
    assert [record["text"] for record in records] == texts
    np.testing.assert_array_equal(vectors_of(records), encoder.encode(texts))


def test_truncated_and_normalized(run: Run, tiny: Path, encoder: SentenceEncoder, text_file: Path) -> None:
    cut = encoder.encode(TEXTS)[:, :3]
    ended = run("embed", tiny, text_file, "--truncate-dim", "3")
    np.testing.assert_array_equal(vectors_of(lines_of(ended.out)), cut)
    ended = run("embed", tiny, text_file, "--truncate-dim", "3", "--normalize")
    unit = cut / np.sqrt(np.square(cut).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(vectors_of(lines_of(ended.out)), unit, rtol=1e-6)


def test_precision(run: Run, tiny: Path, encoder: SentenceEncoder, tmp_path: Path) -> None:
    texts = [f"a cat {'hello ' * count}" for count in range(120)]  # fewer than 100 are warned of
    for precision in ("ubinary", "int8"):
        path = tmp_path / f"{precision}.npy"
        ended = run("embed", tiny, "-", "-o", path, "--precision", precision, stdin="\n".join(texts).encode())
        assert ended.code == 0
        stored = np.load(path)
        assert stored.dtype == {"ubinary": np.uint8, "int8": np.int8}[precision]
        np.testing.assert_array_equal(stored, encoder.encode(texts, precision=precision))
    np.testing.assert_array_equal(np.unpackbits(np.load(tmp_path / "ubinary.npy"), axis=1), encoder.encode(texts) > 0)


@pytest.mark.parametrize("option", [("--prompt", QUERY), ("--prompt-name", "query")])
def test_prompt(run: Run, prompted: Path, encoder: SentenceEncoder, text_file: Path, option: tuple[str, str]) -> None:
    ended = run("embed", prompted, text_file, *option)
    expected = encoder.encode([QUERY + text for text in TEXTS])
    np.testing.assert_array_equal(vectors_of(lines_of(ended.out)), expected)
    assert not np.array_equal(expected, encoder.encode(TEXTS))


def test_variant(run: Run, prompted: Path, encoder: SentenceEncoder, text_file: Path) -> None:
    ended = run("embed", prompted, text_file, "--variant", "other")
    with SentenceEncoder(prompted, variant="other") as other:
        np.testing.assert_array_equal(vectors_of(lines_of(ended.out)), other.encode(TEXTS))
    assert not np.allclose(vectors_of(lines_of(ended.out)), encoder.encode(TEXTS))


BAD_INPUT = {
    "missing.txt": (None, "missing.txt cannot be read: No such file"),
    "latin.txt": ("Grüße".encode("latin-1"), "latin.txt, line 1 is not UTF-8 text"),
    "broken.jsonl": (b'{"text": "a"}\n\n{"text": "b"\n', "broken.jsonl, line 3 is not JSON"),
    "other.jsonl": (b'{"text": "a"}\n{"body": "b"}\n', "other.jsonl, line 2 has no text under 'text'"),
    "number.jsonl": (b'{"text": 5}\n', "number.jsonl, line 1 has no text under 'text'"),
    "list.jsonl": (b'["a"]\n', "list.jsonl, line 1 has no text under 'text'"),
}


@pytest.mark.parametrize("command", [("embed",), ("pairs", "--json")])
def test_stdout_that_is_closed(
    run: Run,
    tiny: Path,
    text_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    assert_refused: Refused,
) -> None:
    """As ``>&-`` of a shell leaves it."""
    monkeypatch.setattr(sys, "stdout", None)
    message = "stdout is closed, and the answer goes there: name a file with --output, or open it\n"
    assert_refused(run(*command, tiny, text_file), 2, message)
    assert_refused(run(*command, tiny, text_file.with_name("gone")), 2, "stdout is closed")  # before any work


def test_an_output_in_capitals(run: Run, tiny: Path, encoder: SentenceEncoder, text_file: Path, tmp_path: Path) -> None:
    assert run("embed", tiny, text_file, "-o", tmp_path / "OUT.NPY", "-q").code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "OUT.NPY"), encoder.encode(TEXTS))


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input(run: Run, tiny: Path, tmp_path: Path, name: str, assert_refused: Refused) -> None:
    content, message = BAD_INPUT[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert_refused(run("embed", tiny, tmp_path / name), 2, message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "out.txt"), "out.txt ends in '.txt', expected one of .npy, .jsonl, .parquet"),
        (("-o", "out"), "out ends in 'nothing'"),
        (("-o", "nowhere/out.npy"), "nowhere is no folder: make it first"),
        (("-o", "folder.npy"), "folder.npy cannot be written: it is a folder"),
        (("--prompt-name", "title"), "prompt_name is 'title', the checkpoint has these prompts: query"),
        (("--variant", "int4"), "variant 'int4' was asked for, but the artifact has fp32, other"),
        (("--truncate-dim", "9"), "truncate_dim is 9, expected 1 to 8"),
    ],
)
def test_wrong_options(
    run: Run,
    prompted: Path,
    text_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, str],
    message: str,
    assert_refused: Refused,
) -> None:
    monkeypatch.chdir(text_file.parent)
    Path("folder.npy").mkdir()
    assert_refused(run("embed", prompted, text_file, *options), 2, message)
    assert sorted(path.name for path in text_file.parent.iterdir()) == ["folder.npy", "texts.txt"]


def test_parquet_without_pyarrow(
    run: Run, tiny: Path, text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_refused: Refused
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    ended = run("embed", tiny, text_file, "-o", tmp_path / "out.parquet")
    assert_refused(ended, 1, 'pip install "embedrt[parquet]"')


def test_failure_leaves_the_old_file(run: Run, tiny: Path, tmp_path: Path, assert_refused: Refused) -> None:
    source, output = tmp_path / "mixed.jsonl", tmp_path / "out.parquet"
    source.write_text('{"text": "a", "id": 1}\n{"text": "b", "id": "two"}\n', encoding="utf-8")
    output.write_bytes(b"old")
    assert_refused(run("embed", tiny, source, "-o", output), 2, "field 'id' does not fit into a column of .parquet: ")
    assert output.read_bytes() == b"old"
    assert set(tmp_path.iterdir()) == {source, output}


def test_half_written_file_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(file: IO[bytes], *_: object) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    (tmp_path / "out.npy").write_bytes(b"old")
    monkeypatch.setitem(writing._WRITERS, ".npy", write_half)
    with pytest.raises(OSError, match="No space left"):
        writing.write_vectors(tmp_path / "out.npy", [], np.zeros((0, 8)))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("out.npy", b"old")]


def test_a_file_is_on_the_disk_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.npy"
    path.write_bytes(b"old")
    seen: list[tuple[int, bytes]] = []

    def sync(handle: int) -> None:
        seen.append((os.fstat(handle).st_size, path.read_bytes()))

    monkeypatch.setattr(os, "fsync", sync)
    writing.write_vectors(path, [], np.zeros((3, 8)))
    assert seen == [(path.stat().st_size, b"old")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device that is always full")
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tempfile.mkstemp", lambda **_named: (os.open("/dev/full", os.O_WRONLY), str(tmp_path / "half"))
    )
    with pytest.raises(OSError, match=r"No space left on device: '.*out\.npy'$"):
        writing.write_vectors(tmp_path / "out.npy", [], np.zeros((1000, 384), dtype=np.float32))


def test_a_full_disk_is_one_sentence(
    run: Run, tiny: Path, text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_refused: Refused
) -> None:
    def write_half(*_: object) -> None:
        raise OSError(28, "No space left on device", "out.npy")

    monkeypatch.setitem(writing._WRITERS, ".npy", write_half)
    ended = run("embed", tiny, text_file, "-o", tmp_path / "out.npy", "-q")
    assert_refused(ended, 1, "out.npy: No space left on device")
    assert list(tmp_path.iterdir()) == [text_file]


def test_a_table_and_a_parquet_file(run: Run, tiny: Path, tmp_path: Path, encoder: SentenceEncoder) -> None:
    (tmp_path / "texts.csv").write_text('id,body\n1,"hello, world"\n2,a cat\n', encoding="utf-8")
    ended = run("embed", tiny, tmp_path / "texts.csv", "--text-field", "body", "-o", tmp_path / "out.parquet", "-q")
    assert ended.code == 0, ended.err
    ended = run("embed", tiny, tmp_path / "out.parquet", "--text-field", "body")
    rows = lines_of(ended.out)
    assert [(row["id"], row["body"]) for row in rows] == [("1", "hello, world"), ("2", "a cat")]
    np.testing.assert_array_equal(vectors_of(rows), encoder.encode(["hello, world", "a cat"]))
