"""The command line: files in and out, exit codes, and what goes to which stream.

Most tests call ``main`` in this process, as the console script does; a few start a real one.
"""

import importlib.metadata
import importlib.util
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from pyarrow import parquet

from embedrt import SentenceEncoder
from embedrt.cli import main, writing
from embedrt.manifest import Manifest

TEXTS = ["How do I reset my password?", "", "忘记密码怎么办？", "a cat sat on the mat"]
QUERY = "[query] :cat: "  # what rich would take for a style and an emoji


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``embedrt`` with these arguments, and how it ended."""
    monkeypatch.setenv("COLUMNS", "200")

    def start(*arguments: str | Path, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "argv", ["embedrt", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return Ended(int(ended.value.code or 0), shown.out, shown.err)

    return start


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def prompted(tmp_path_factory: pytest.TempPathFactory, write_artifact: Callable[..., Path]) -> Path:
    """An artifact with a prompt and two variants, in a folder with brackets in its name."""
    return write_artifact(
        tmp_path_factory.mktemp("artifacts") / "tiny[1]",
        variants={"fp32": {}, "other": {"seed": 1}},
        serving={"prompts": {"query": QUERY}},
    )


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
    assert run("embed", tiny, text_file, "-o", tmp_path / "out.npy", "-q") == Ended(0, "", "")
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
    "latin.txt": ("Grüße".encode("latin-1"), "latin.txt is not UTF-8 text (byte 2)"),
    "broken.jsonl": (b'{"text": "a"}\n\n{"text": "b"\n', "broken.jsonl, line 3 is not JSON"),
    "other.jsonl": (b'{"text": "a"}\n{"body": "b"}\n', "other.jsonl, line 2 has no text under 'text'"),
    "number.jsonl": (b'{"text": 5}\n', "number.jsonl, line 1 has no text under 'text'"),
    "list.jsonl": (b'["a"]\n', "list.jsonl, line 1 has no text under 'text'"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input(run: Run, tiny: Path, tmp_path: Path, name: str) -> None:
    content, message = BAD_INPUT[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert_refused(run("embed", tiny, tmp_path / name), 2, message)


def assert_refused(ended: Ended, code: int, message: str) -> None:
    """One sentence on stderr, nothing on stdout."""
    assert message in ended.err
    assert ended.err.startswith("embedrt: ")
    assert ended.err.count("\n") == 1
    assert (ended.code, ended.out) == (code, "")


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
) -> None:
    monkeypatch.chdir(text_file.parent)
    Path("folder.npy").mkdir()
    assert_refused(run("embed", prompted, text_file, *options), 2, message)
    assert sorted(path.name for path in text_file.parent.iterdir()) == ["folder.npy", "texts.txt"]


def test_parquet_without_pyarrow(
    run: Run, tiny: Path, text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    ended = run("embed", tiny, text_file, "-o", tmp_path / "out.parquet")
    assert_refused(ended, 1, 'pip install "embedrt[parquet]"')


def test_failure_leaves_the_old_file(run: Run, tiny: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "mixed.jsonl", tmp_path / "out.parquet"
    source.write_text('{"text": "a", "id": 1}\n{"text": "b", "id": "two"}\n', encoding="utf-8")
    output.write_bytes(b"old")
    assert_refused(run("embed", tiny, source, "-o", output), 2, "do not fit into .parquet")
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


def test_inspect(run: Run, prompted: Path) -> None:
    ended = run("inspect", prompted)
    assert (ended.code, ended.err) == (0, "")
    for shown in ("tests/tiny", "16 tokens", f"query: {QUERY!r}", "onnx/model_other.onnx", "0.0e+00", "1.000000"):
        assert shown in ended.out
    written = json.loads((prompted / "embedrt.json").read_text(encoding="utf-8"))
    assert json.loads(run("inspect", prompted, "--json").out) == written


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_folder_without_manifest(run: Run, tiny: Path, tmp_path: Path, command: str) -> None:
    shutil.copytree(tiny, tmp_path / "bare", ignore=shutil.ignore_patterns("embedrt.json"))
    assert_refused(run(command, tmp_path / "bare"), 1, f"{tmp_path / 'bare'} has no embedrt.json")


def test_similarity(run: Run, tiny: Path, encoder: SentenceEncoder) -> None:
    texts = ["[bold]a cat[/nothing] :cat:", "hello", "hello " * 20]
    vectors = encoder.encode(texts)
    scores = encoder.similarity(vectors, vectors)
    answer = json.loads(run("similarity", tiny, *texts, "--json").out)
    assert answer["texts"] == texts
    np.testing.assert_array_equal(np.array(answer["similarity"], dtype=np.float32), scores)
    rows = [line.split("│")[2:-1] for line in run("similarity", tiny, *texts).out.splitlines() if line.startswith("│")]
    assert [row[0].strip() for row in rows] == [*texts[:2], texts[2][:59] + "…"]
    np.testing.assert_allclose(np.array([row[1:] for row in rows], dtype=float), scores, atol=5.01e-4)


def test_verify(run: Run, tiny: Path, tmp_path: Path) -> None:
    ended = run("verify", tiny)
    assert ended == Ended(0, f"{tiny}: every file that serving reads is the one that the manifest names\n", "")
    assert json.loads(run("verify", tiny, "--json").out) == {"hashes": "ok"}
    copy = shutil.copytree(tiny, tmp_path / "copy")
    for name in ("onnx/model.onnx", "tokenizer.json"):
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        assert_refused(run("verify", copy), 1, f"{copy / name} has SHA-256")
        (copy / name).write_bytes(whole)


@pytest.mark.parametrize("command", [("export", "MODEL", "OUT"), ("verify", "ARTIFACT", "--against", "MODEL")])
def test_exporter_is_not_installed(run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    find = importlib.util.find_spec
    missing = ("torch", "optimum")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find(name))
    message = 'torch, optimum not installed: the exporter needs PyTorch and more. Type: pip install "embedrt[export]"'
    assert_refused(run(*command), 1, message)


def test_export_passes_everything_on(run: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    text = (tiny / "embedrt.json").read_text(encoding="utf-8")

    def export(model: str, out: Path, **options: Any) -> Manifest:
        given.update(options, model=model, out=out)
        return Manifest.from_json(text)

    monkeypatch.setitem(sys.modules, "embedrt_export", cast("Any", SimpleNamespace(export=export)))
    size = sum(path.stat().st_size for path in tiny.rglob("*") if path.name != "embedrt.json" and path.is_file()) / 1e6
    answer = f"OUT: {size:.1f} MB, differs from PyTorch by at most 0.0e+00 over 1 texts\n"
    assert run("export", "MODEL", "OUT") == Ended(0, answer, "")
    off = dict.fromkeys(("token_embeddings", "trust_remote_code", "overwrite", "quiet"), False)
    assert given == {"model": "MODEL", "out": Path("OUT"), "revision": None, "pooling": None, **off}
    switches = ("--token-embeddings", "--trust-remote-code", "--overwrite", "--quiet", "--json")
    ended = run("export", "MODEL", "OUT", "--pooling", "cls", "--pooling", "max", "--revision", "v1", *switches)
    assert ended == Ended(0, text, "")
    assert given == {**given, "revision": "v1", "pooling": ["cls", "max"], **dict.fromkeys(off, True)}


def test_version_and_help(run: Run) -> None:
    assert run("--version") == Ended(0, importlib.metadata.version("embedrt") + "\n", "")
    asked, bare = run("--help"), run()
    assert (asked.code, bare.code) == (0, 2)
    for command in ("export", "verify", "inspect", "embed", "similarity"):
        assert f" {command} " in asked.out
        assert f" {command} " in bare.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("frobnicate",), "No such command"),
        (("embed",), "Missing argument"),
        (("embed", "MODEL", "-", "--precision", "int4"), "Invalid value for '--precision'"),
        (("embed", "MODEL", "-", "--threads", "0"), "Invalid value for '--threads'"),
        (("similarity", "MODEL", "one text alone"), "one text has nothing to be compared with"),
    ],
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...], message: str) -> None:
    ended = run(*arguments)
    assert message in ended.err
    assert (ended.code, ended.out) == (2, "")


def embedrt(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """A real process."""
    command = [sys.executable, "-m", "embedrt", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)


def test_process(tiny: Path, encoder: SentenceEncoder) -> None:
    done = embedrt("embed", tiny, "-", stdin="\n".join(TEXTS).encode())
    assert (done.returncode, done.stderr) == (0, b"")
    np.testing.assert_array_equal(vectors_of(lines_of(done.stdout.decode())), encoder.encode(TEXTS))


@pytest.mark.parametrize(
    ("arguments", "code", "path"),
    [
        (("inspect", "./no[bold]such[1]\\[/x]:cat:"), 1, "./no[bold]such[1]\\[/x]:cat:: pass the folder"),
        (("embed", "MODEL", "no[red]such[/].txt"), 2, "no[red]such[/].txt cannot be read"),
    ],
)
def test_failed_process(arguments: tuple[str, ...], code: int, path: str) -> None:
    done = embedrt(*arguments)
    assert_refused(Ended(done.returncode, done.stdout.decode(), done.stderr.decode()), code, path)
