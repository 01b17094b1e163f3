"""An artifact against the file of word vectors that it was made of, once more: what the export found is found again, or named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from embedrt_export.quantization import quantize
from embedrt_export.words.job import export_word_vectors
from embedrt_export.words.options import WordVectorOptions
from embedrt_export.words.verifying import verify_word_vectors

from embedrt.artifact.manifest import Manifest
from embedrt.errors import CheckpointError, FidelityError, InputError, IntegrityError, ManifestError, ParityError
from embedrt.text.segmenters import WordRules

Rows = dict[str, npt.NDArray[np.float32]]
PHRASES = WordRules(split="phrases", stop_words=("in", "W7"))


def exported(glove: Path, out: Path, **options: Any) -> Manifest:
    return export_word_vectors(glove, out, options=WordVectorOptions(**options), quiet=True)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"unit_rows": True, "normalize": True},
        {"pooling": ("max", "lasttoken"), "rules": PHRASES},
        {"table": "fp16"},
        {"table": "int8", "unit_rows": True},
        {"weighting": "idf"},
        {"weighting": "sif", "remove_component": True, "drop_frequent": 3, "rules": PHRASES},
        {"drop_frequent": 2, "unit_rows": True},
    ],
    ids=str,
)
def test_what_the_export_found_is_found_again(
    glove: Path, corpus: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    needed = corpus if {"weighting", "remove_component", "drop_frequent"} & options.keys() else None
    made = exported(glove, tmp_path / "out", **options, corpus=needed)
    manifest, parity = verify_word_vectors(tmp_path / "out", against=glove, corpus=needed, quiet=True)
    assert manifest == made
    assert parity == made.variants[made.default_variant].parity


def test_each_variant(glove: Path, tmp_path: Path) -> None:
    exported(glove, tmp_path / "out")
    quantize(tmp_path / "out", "fp16", quiet=True)
    exact = verify_word_vectors(tmp_path / "out", against=glove, quiet=True)[1]
    rounded = verify_word_vectors(tmp_path / "out", against=glove, variant="fp16", quiet=True)[1]
    assert exact.max_abs_difference < 1e-6 < rounded.max_abs_difference < 1e-2


def write(rows: Rows, path: Path) -> Path:
    lines = [f"{word} {' '.join(map(repr, map(float, row)))}\n" for word, row in rows.items()]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def test_a_file_with_other_numbers(rows: Rows, glove: Path, tmp_path: Path) -> None:
    other = write({**rows, "w11": rows["w11"] + np.float32(0.01)}, tmp_path / "other.txt")
    exported(glove, tmp_path / "out")
    with pytest.raises(ParityError, match="the same arithmetic in numpy"):
        verify_word_vectors(tmp_path / "out", against=other, quiet=True)


def test_a_rounded_table_of_other_numbers(rows: Rows, glove: Path, tmp_path: Path) -> None:
    other = write({word: row[::-1] for word, row in rows.items()}, tmp_path / "other.txt")
    exported(glove, tmp_path / "out", table="int8")
    with pytest.raises(FidelityError):
        verify_word_vectors(tmp_path / "out", against=other, quiet=True)


def test_a_file_with_other_words(rows: Rows, glove: Path, tmp_path: Path) -> None:
    exported(glove, tmp_path / "out")
    renamed = write({word.replace("w8", "x8"): row for word, row in rows.items()}, tmp_path / "renamed.txt")
    with pytest.raises(CheckpointError, match=r"other words.*200 instead of 200, and 'x8' in place of 'w8'"):
        verify_word_vectors(tmp_path / "out", against=renamed, quiet=True)
    longer = write({**rows, "more": rows["cat"]}, tmp_path / "longer.txt")
    with pytest.raises(CheckpointError, match=r"201 instead of 200: pass the file that the artifact was made of"):
        verify_word_vectors(tmp_path / "out", against=longer, quiet=True)


def test_the_corpus_of_the_export(
    glove: Path, corpus: Path, tmp_path: Path, write_lines: Callable[[list[str]], Path]
) -> None:
    exported(glove, tmp_path / "weighed", weighting="sif", corpus=corpus)
    with pytest.raises(InputError, match=r"weighed by a corpus of 400 texts: pass it again, --corpus FILE"):
        verify_word_vectors(tmp_path / "weighed", against=glove, quiet=True)
    with pytest.raises(CheckpointError, match=r"the corpus has 2 texts, and the one of the export had 400"):
        verify_word_vectors(tmp_path / "weighed", against=glove, corpus=write_lines(["the cat", "the dog"]), quiet=True)
    exported(glove, tmp_path / "plain")
    with pytest.raises(InputError, match="leave --corpus out"):
        verify_word_vectors(tmp_path / "plain", against=glove, corpus=corpus, quiet=True)


def test_a_damaged_artifact(glove: Path, tmp_path: Path) -> None:
    exported(glove, tmp_path / "out")
    path = tmp_path / "out" / "onnx" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(IntegrityError, match=r"model\.onnx"):
        verify_word_vectors(tmp_path / "out", against=glove, quiet=True)


def test_an_artifact_of_something_else(glove: Path, tiny: Path) -> None:
    with pytest.raises(ManifestError, match=r"glove\.txt is a file, and .* was not made of a file of word vectors"):
        verify_word_vectors(tiny, against=glove, quiet=True)


def test_the_command(glove: Path, corpus: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    made = exported(glove, tmp_path / "out", weighting="idf", corpus=corpus)
    command = ("verify", tmp_path / "out", "--against", glove)
    code, out, err = run(*command, "--corpus", corpus)
    parity = made.variants["fp32"].parity
    assert (code, out) == (
        0,
        f"{tmp_path / 'out'}: differs from its definition by at most {parity.max_abs_difference:.1e} over {parity.texts} texts\n",
    )
    assert "read: 200 words, 30 wide" in err
    code, out, _ = run(*command, "--corpus", corpus, "--json", "--quiet")
    assert (code, json.loads(out)["parity"]["texts"]) == (0, parity.texts)
    for options, told in (
        (("--against", glove, "--revision", "main"), "--revision is not for"),
        (("--against", tmp_path, "--corpus", corpus), "--corpus is for artifacts of word vectors"),
        (("--corpus", corpus), "--corpus is for artifacts of word vectors"),
    ):
        code, _, err = run("verify", tmp_path / "out", *options)
        assert (code, told in err) == (2, True), err


def test_no_pytorch_is_loaded(glove: Path, tmp_path: Path, run_python: Callable[..., Any]) -> None:
    exported(glove, tmp_path / "out")
    code = "import sys; from embedrt.cli import app; app(sys.argv[1:], standalone_mode=False); print('torch' in sys.modules)"
    done = run_python(code, "verify", tmp_path / "out", "--against", glove, "--quiet")
    assert done.stdout.splitlines()[-1] == "False", done.stderr
