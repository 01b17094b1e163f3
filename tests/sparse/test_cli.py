"""``embedrt embed`` on sparse models, the forms of databases, and what docs/sparse.md shows of them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from typer.testing import CliRunner

from embedrt import SparseEncoder, SparseVector
from embedrt.cli import app
from embedrt.errors import EmbedrtError, InputError
from embedrt.sparse.forms import FORMS, Form, in_form

TEXTS = ["how do i reset my password ?", "the cat sleeps on the roof .", "rain"]
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "sparse.md"
WORDS = {2129: "how", 7110: "password", 25141: "reset"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"id": index, "text": text}) + "\n" for index, text in enumerate(TEXTS)))
    return path


@pytest.fixture(scope="module")
def embed() -> Callable[..., Any]:
    def run(*arguments: object) -> Any:
        return CliRunner().invoke(app, ["embed", *map(str, arguments)])

    return run


@pytest.mark.parametrize("form", [None, *FORMS])
@pytest.mark.parametrize("role", ["query", "document"])
def test_json_lines(
    inference_free_artifact: Path, file: Path, embed: Callable[..., Any], form: str | None, role: str
) -> None:
    options = ["--as", role, *([] if form is None else ["--format", form])]
    result = embed(inference_free_artifact, file, *options, "--max-active-dims", 6)
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(record["id"], record["text"]) for record in records] == list(enumerate(TEXTS))
    with SparseEncoder(inference_free_artifact) as encoder:
        encode = encoder.encode_query if role == "query" else encoder.encode_document
        vectors = encode(TEXTS, max_active_dims=6)
        for record, vector in zip(records, vectors, strict=True):
            assert 0 < len(vector.indices) <= 6
            found = record["embedding"]
            if form == "milvus":
                assert found == {str(term): weight for term, weight in vector.to_dict().items()}
            elif form == "elasticsearch":
                assert found == {token.replace(".", "[dot]"): weight for token, weight in encoder.decode(vector)}
            else:
                assert found == {"indices": vector.indices.tolist(), "values": vector.values.tolist()}


def test_compressed_rows_that_scipy_reads(
    splade_artifact: Path, file: Path, tmp_path: Path, embed: Callable[..., Any]
) -> None:
    result = embed(splade_artifact, file, "-o", tmp_path / "out.npz")
    assert result.exit_code == 0, result.output
    with SparseEncoder(splade_artifact) as encoder:
        np.testing.assert_array_equal(sparse.load_npz(tmp_path / "out.npz").toarray(), encoder.encode(TEXTS).to_dense())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "out.npy"], r"out.npy ends in '.npy', expected .jsonl or .npz: sparse vectors differ in size"),
        (["-o", "out.parquet"], r"expected .jsonl or .npz: sparse vectors differ in size"),
        (["--normalize"], "--normalize is for dense vectors: leave it out for sparse ones"),
        (["--kind", "dense"], "load it with SparseEncoder"),
    ],
)
def test_what_does_not_fit_is_refused(
    splade_artifact: Path, file: Path, embed: Callable[..., Any], options: list[str], message: str
) -> None:
    result = embed(splade_artifact, file, *options)
    assert result.exit_code == 1
    assert isinstance(result.exception, EmbedrtError)
    assert message in str(result.exception)
    assert result.stdout == ""


def test_options_of_sparse_vectors_fit_no_others(tiny: Path, file: Path, embed: Callable[..., Any]) -> None:
    result = embed(tiny, file, "--format", "milvus", "--max-active-dims", "3")
    assert "--format, --max-active-dims is for sparse vectors, and the model gives dense ones: leave it" in str(
        result.exception
    )


def made_up(*weights: float) -> SparseVector:
    return SparseVector(np.array(sorted(WORDS)[: len(weights)], np.int32), np.array(weights, np.float32), 30522)


@pytest.mark.parametrize("form", FORMS)
def test_the_document_shows_what_is_written(form: Form) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    shown = re.search(rf"--format {form}\n(.*?)\n```", text, flags=re.DOTALL)
    assert shown is not None
    record = {"id": 1, "text": "how to reset a password"}
    written = record | {"embedding": in_form(made_up(0.5, 2.25, 1.75), form, WORDS.__getitem__)}
    assert shown[1] == json.dumps(written)


def test_what_elasticsearch_would_refuse() -> None:
    assert in_form(made_up(1.5), "elasticsearch", lambda _: "e.g.") == {"e[dot]g[dot]": 1.5}
    with pytest.raises(InputError, match=r"weights above 0 alone, and a term has another: how -1\."):
        in_form(made_up(-1), "elasticsearch", WORDS.__getitem__)
    with pytest.raises(InputError, match="two terms of the vocabulary have one name"):
        in_form(made_up(1, 2), "elasticsearch", lambda _: "same")
    with pytest.raises(InputError, match="format is 'solr', expected one of qdrant, milvus, elasticsearch"):
        in_form(made_up(1), "solr", WORDS.__getitem__)  # type: ignore[arg-type]
