"""``embedrt embed`` on models whose vectors are no matrix."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from embedrt import MultiVectorEncoder, SentenceEncoder
from embedrt.cli import app
from embedrt.cli.embedding import kind_of_model
from embedrt.errors import EmbedrtError

Build = Callable[..., Path]
TEXTS = ["use the link.", "the cat sleeps on the roof", "hello"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"id": index, "text": text}) + "\n" for index, text in enumerate(TEXTS)))
    return path


@pytest.mark.parametrize("role", ["query", "document"])
def test_json_lines_hold_a_list_of_vectors(artifact: Path, file: Path, tmp_path: Path, role: str) -> None:
    out = tmp_path / "out.jsonl"
    result = CliRunner().invoke(app, ["embed", str(artifact), str(file), "-o", str(out), "--as", role, "--quiet"])
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(record["id"], record["text"]) for record in records] == list(enumerate(TEXTS))
    with MultiVectorEncoder(artifact) as encoder:
        expected = encoder.encode_query(TEXTS) if role == "query" else encoder.encode_document(TEXTS)
    for record, vectors in zip(records, expected, strict=True):
        np.testing.assert_array_equal(np.array(record["embedding"], np.float32), vectors)


def test_dates_of_a_table_are_text(artifact: Path, tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": ["hello"], "day": [dt.date(2026, 1, 2)]}), tmp_path / "texts.parquet")
    result = CliRunner().invoke(app, ["embed", str(artifact), str(tmp_path / "texts.parquet")])
    assert json.loads(result.stdout)["day"] == "2026-01-02"


def test_texts_are_documents_unless_said_otherwise(artifact: Path, file: Path) -> None:
    result = CliRunner().invoke(app, ["embed", str(artifact), str(file)])
    first = json.loads(result.stdout.splitlines()[0])
    with MultiVectorEncoder(artifact) as encoder:
        assert len(first["embedding"]) == len(encoder.encode_document(TEXTS[0]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "out.npy"], "out.npy ends in '.npy', expected one of .jsonl, .parquet for multi-vector models"),
        (["--normalize"], "--normalize is for dense vectors"),
        (["--precision", "int8", "--truncate-dim", "4"], "--truncate-dim, --precision is for dense vectors"),
        (["--kind", "dense"], "load it with MultiVectorEncoder"),
    ],
)
def test_what_does_not_fit_is_refused(artifact: Path, file: Path, options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["embed", str(artifact), str(file), *options])
    assert result.exit_code == 1
    assert isinstance(result.exception, EmbedrtError)
    assert message in str(result.exception)


def test_one_of_several_kinds(hybrid_artifact: Path, file: Path) -> None:
    assert kind_of_model(str(hybrid_artifact), variant=None, revision=None) == "dense"
    own = CliRunner().invoke(app, ["embed", str(hybrid_artifact), str(file)])
    late = CliRunner().invoke(app, ["embed", str(hybrid_artifact), str(file), "--kind", "multi-vector"])
    with SentenceEncoder(hybrid_artifact) as dense, MultiVectorEncoder(hybrid_artifact) as multi:
        np.testing.assert_array_equal(_first(own.stdout), dense.encode(TEXTS[0]))
        np.testing.assert_array_equal(_first(late.stdout), multi.encode_document(TEXTS[0]))


def _first(lines: str) -> npt.NDArray[np.float32]:
    return np.array(json.loads(lines.splitlines()[0])["embedding"], dtype=np.float32)
