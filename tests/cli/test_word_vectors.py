"""``embedrt export --word-vectors``: options reach the exporter, and wrong usage is one sentence and exit code 2."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedrt_export.words import job
from embedrt_export.words.options import WordVectorOptions

from embedrt import SentenceEncoder
from embedrt.artifact.manifest import Manifest
from embedrt.text.segmenters import WordRules

Run = Callable[..., tuple[int, str, str]]
Refused = Callable[[tuple[int, str, str], int, str], None]


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text("cat 1 2\ndog 3 4\nthe 5 6\n", encoding="utf-8")
    return path


def test_from_file_to_vectors(run: Run, vectors: Path, tmp_path: Path) -> None:
    code, out, err = run("export", "--word-vectors", vectors, tmp_path / "out")
    assert code == 0
    assert out.startswith(f"{tmp_path / 'out' / 'onnx' / 'model.onnx'}: fp32, 0.0 MB, max |Δ| ")
    assert "read: 3 words, 2 wide" in err
    with SentenceEncoder(tmp_path / "out") as encoder:
        np.testing.assert_array_equal(encoder.encode("the Cat, a dog"), [3, 4])
    code, out, _ = run("embed", tmp_path / "out", "-", "--quiet", stdin=b"cat\n")
    assert (code, out.count("\n")) == (0, 1)
    code, out, _ = run("inspect", tmp_path / "out")
    assert (code, "vectors.txt" in out) == (0, True)


def test_options_reach_the_exporter(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def export(file: str, out: Path, **options: Any) -> Manifest:
        given.update(file=file, out=out, **options)
        raise SystemExit(0)

    monkeypatch.setattr(job, "export_word_vectors", export)
    (tmp_path / "stop.txt").write_text("the\n\n of \nthe\n", encoding="utf-8")
    options = [
        *("--word-tokenizer", "phrases", "--stop-words", tmp_path / "stop.txt", "--table", "int8", "--normalize"),
        *(
            "--unit-words",
            "--word-weights",
            "sif",
            "--corpus",
            "corpus.txt",
            "--remove-component",
            "--drop-frequent",
            "7",
        ),
        *("--pooling", "mean", "--overwrite", "--quiet"),
    ]
    run("export", "--word-vectors", "FILE", "OUT", *options)
    assert given == {
        "file": "FILE",
        "out": Path("OUT"),
        "options": WordVectorOptions(
            rules=WordRules(split="phrases", stop_words=("the", "of")),
            table="int8",
            normalize=True,
            unit_rows=True,
            weighting="sif",
            corpus=Path("corpus.txt"),
            remove_component=True,
            drop_frequent=7,
        ),
        "overwrite": True,
        "quiet": True,
    }
    run("export", "OUT", "--word-vectors", "FILE", "--lowercase", "--stop-words", "english", "--pooling", "max")
    rules = given["options"].rules
    assert (rules.lowercase, rules.split, given["options"].pooling) == (True, "whitespace", ("max",))
    assert {"the", "of", "whereupon"} <= set(rules.stop_words)
    (tmp_path / "stop.txt").write_bytes(b"\xef\xbb\xbfthe\r\nof\x1cit\r\n")
    run("export", "OUT", "--word-vectors", "FILE", "--stop-words", tmp_path / "stop.txt")
    assert given["options"].rules.stop_words == ("the", "of\x1cit")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["MODEL"], "type: embedrt export MODEL OUT, or: embedrt export --word-vectors FILE OUT"),
        ([], "type: embedrt export MODEL OUT"),
        (["--word-vectors", "FILE"], "type embedrt export --word-vectors FILE OUT"),
        (["--word-vectors", "FILE", "MODEL", "OUT"], "stands in place of MODEL"),
        (["MODEL", "OUT", "--table", "int8"], "--table is for word vectors: pass --word-vectors FILE too"),
        (["MODEL", "OUT", "--lowercase"], "--lowercase is for word vectors"),
        (["--word-vectors", "FILE", "OUT", "--route", "query"], "--route is for checkpoints"),
        (["--word-vectors", "FILE", "OUT", "--precision", "int8"], "--precision is for checkpoints"),
        (["--word-vectors", "FILE", "OUT", "--word-weights", "idf"], "pass --corpus FILE"),
        (["--word-vectors", "FILE", "OUT", "--word-tokenizer", "jieba", "--lowercase"], "--lowercase is for"),
        (["--word-vectors", "FILE", "OUT", "--stop-words", "nowhere.txt"], "--stop-words nowhere.txt cannot be read"),
        (["--word-vectors", "FILE", "OUT", "--pooling", "cls"], "pooling is cls"),
    ],
)
def test_wrong_usage(run: Run, assert_refused: Refused, arguments: list[str], message: str) -> None:
    assert_refused(run("export", *arguments), 2, message)


def test_a_damaged_file_is_one_sentence(run: Run, vectors: Path, tmp_path: Path) -> None:
    vectors.write_text("cat 1 2\ndog 3\n", encoding="utf-8")
    code, out, err = run("export", "--word-vectors", vectors, tmp_path / "out", "--quiet")
    assert (code, out) == (1, "")
    assert err == "embedrt: vectors.txt line 2 has 1 number behind 'dog', expected 2 by the first line\n"
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.txt"]


def test_a_file_in_place_of_a_checkpoint(run: Run, vectors: Path, tmp_path: Path, assert_refused: Refused) -> None:
    message = f"is a file: pass the folder of a checkpoint. A file of word vectors: embedrt export --word-vectors {vectors} OUT"
    assert_refused(run("export", vectors, tmp_path / "out", "--quiet"), 1, message)
