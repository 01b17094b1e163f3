"""Corpora as sparse vectors: a job gives the rows that the class gives, in every form of file."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet
from scipy import sparse

from embedrt import SparseEncoder, SparseVectors
from embedrt.corpus import Corpus, EncodeOptions, Form, map_corpus
from embedrt.errors import InputError, KindError

TEXTS = [
    f"{start} {end}"
    for start in ("how do i", "the cat", "忘记密码")
    for end in ("sleeps .", "reset my password ?", "rain")
]


@pytest.fixture
def job(tmp_path: Path) -> Corpus:
    """Nine texts, in parts of four."""
    lines = [json.dumps({"id": number, "text": text}) + "\n" for number, text in enumerate(TEXTS)]
    (tmp_path / "texts.jsonl").write_text("".join(lines))
    return Corpus(inputs=[tmp_path / "texts.jsonl"], output=tmp_path / "vectors", part_rows=4)


@pytest.fixture
def options(splade_artifact: Path) -> EncodeOptions:
    return EncodeOptions(model=str(splade_artifact), variant="fp32")


def expected(artifact: Path, max_active_dims: int | None = None) -> SparseVectors:
    with SparseEncoder(artifact, variant="fp32") as encoder:
        return encoder.encode(TEXTS, max_active_dims=max_active_dims)


def test_columns(job: Corpus, options: EncodeOptions) -> None:
    report = map_corpus(job, replace(options, max_active_dims=7))
    assert (report.vectors, report.parts) == (9, 3)
    parts = [parquet.read_table(job.output / f"texts.jsonl-0000{number}.parquet") for number in range(3)]
    assert str(parts[0].schema.field("embedding").type).startswith("struct<indices: list<")
    rows = [row for part in parts for row in part.to_pylist()]
    assert [row["id"] for row in rows] == list(range(9))
    for row, vector in zip(rows, expected(Path(options.model), max_active_dims=7), strict=True):
        assert 0 < len(vector.indices) <= 7
        assert row["embedding"] == {"indices": vector.indices.tolist(), "values": vector.values.tolist()}


def test_compressed_rows_that_scipy_reads(job: Corpus, options: EncodeOptions) -> None:
    map_corpus(replace(job, form="npz"), options)
    parts = [sparse.load_npz(path).toarray() for path in sorted(job.output.glob("*.npz"))]
    assert [len(part) for part in parts] == [4, 4, 1]
    np.testing.assert_array_equal(np.concatenate(parts), expected(Path(options.model)).to_dense())


def test_json_lines(job: Corpus, options: EncodeOptions) -> None:
    map_corpus(replace(job, form="jsonl"), options)
    lines = [line for path in sorted(job.output.glob("*.jsonl-*")) for line in path.read_text().splitlines()]
    for line, vector in zip(lines, expected(Path(options.model)), strict=True):
        assert json.loads(line)["embedding"] == {"indices": vector.indices.tolist(), "values": vector.values.tolist()}


def test_in_their_role(job: Corpus, inference_free_artifact: Path) -> None:
    options = EncodeOptions(model=str(inference_free_artifact), role="query")
    map_corpus(replace(job, form="npz"), options, devices=("cpu", "cpu"))
    parts = [sparse.load_npz(path).toarray() for path in sorted(job.output.glob("*.npz"))]
    with SparseEncoder(inference_free_artifact) as encoder:
        np.testing.assert_array_equal(np.concatenate(parts), encoder.encode_query(TEXTS).to_dense())


def test_a_part_without_texts(job: Corpus, options: EncodeOptions) -> None:
    job.inputs[0].write_text('{"id": 1}\n')
    map_corpus(replace(job, skip_invalid=True), options)
    assert parquet.read_table(job.output / "texts.jsonl-00000.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("form", "more", "message"),
    [
        ("npy", {}, "form is 'npy', expected one of npz, jsonl, parquet for sparse models"),
        (
            "parquet",
            {"truncate_dim": 4},
            "truncate_dim is 4, which sparse models do not have: leave it out",
        ),
        ("parquet", {"kinds": ("sparce",)}, "a kind is 'sparce', expected some of dense, sparse, multi-vector"),
    ],
)
def test_what_does_not_fit_is_refused(
    job: Corpus, options: EncodeOptions, form: Form, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        map_corpus(replace(job, form=form), replace(options, **more))
    assert not job.output.exists()


def test_a_kind_that_the_model_does_not_give(job: Corpus, options: EncodeOptions, tiny: Path) -> None:
    with pytest.raises(
        KindError, match="is a sparse model, SentenceEncoder takes dense ones: load it with SparseEncoder"
    ):
        map_corpus(job, replace(options, kinds=("dense",)))
    with pytest.raises(InputError, match="max_active_dims is 3, which dense models do not have"):
        map_corpus(job, EncodeOptions(model=str(tiny), max_active_dims=3))


def test_a_file_of_columns_at_once(
    splade_artifact: Path, job: Corpus, tmp_path: Path, run: Callable[..., object]
) -> None:
    """``embedrt embed`` writes the same column."""
    run("embed", splade_artifact, job.inputs[0], "-o", tmp_path / "out.parquet", "--variant", "fp32", "--quiet")
    map_corpus(replace(job, part_rows=9), EncodeOptions(model=str(splade_artifact), variant="fp32"))
    one, other = (
        parquet.read_table(tmp_path / "out.parquet"),
        parquet.read_table(job.output / "texts.jsonl-00000.parquet"),
    )
    assert one.equals(other)
