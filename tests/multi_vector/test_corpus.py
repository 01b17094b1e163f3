"""Corpora as a vector a token: a job gives the arrays that the class gives, documents unless said otherwise."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pyarrow import parquet

from embedrt import HybridEncoder, MultiVectorEncoder, SparseEncoder
from embedrt.artifact.kinds import MultiVector
from embedrt.artifact.manifest import Serving
from embedrt.corpus import Corpus, EncodeOptions, map_corpus
from embedrt.corpus.kinds import part_rows
from embedrt.errors import InputError

TEXTS = ["use the link.", "the cat sleeps on the roof", "", "hello", "忘记密码怎么办"]


@pytest.fixture
def job(tmp_path: Path) -> Corpus:
    """Five texts, in parts of two."""
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return Corpus(inputs=[tmp_path / "texts.jsonl"], output=tmp_path / "vectors", part_rows=2)


def embeddings(job: Corpus) -> list[Any]:
    parts = [parquet.read_table(path) for path in sorted(job.output.glob("*.parquet"))]
    return [row for part in parts for row in part["embedding"].to_pylist()]


@pytest.mark.parametrize("role", [None, "query"])
def test_columns(job: Corpus, artifact: Path, role: Literal["query"] | None) -> None:
    assert map_corpus(job, EncodeOptions(model=str(artifact), role=role)).parts == 3
    with MultiVectorEncoder(artifact) as encoder:
        vectors = encoder.encode_document(TEXTS) if role is None else encoder.encode_query(TEXTS)
        width = encoder.get_embedding_dimension()
    for found, one in zip(embeddings(job), vectors, strict=True):
        np.testing.assert_array_equal(np.array(found, np.float32).reshape(-1, width), one)
    column = parquet.read_table(job.output / "texts.jsonl-00000.parquet").schema.field("embedding").type
    assert column.value_type.list_size == width


def test_json_lines(job: Corpus, artifact: Path) -> None:
    map_corpus(replace(job, form="jsonl"), EncodeOptions(model=str(artifact)))
    lines = [line for path in sorted(job.output.glob("*.jsonl-*")) for line in path.read_text().splitlines()]
    with MultiVectorEncoder(artifact) as encoder:
        expected = [vectors.tolist() for vectors in encoder.encode_document(TEXTS)]
    assert [json.loads(line)["embedding"] for line in lines] == expected


def test_a_part_without_texts(job: Corpus, artifact: Path) -> None:
    job.inputs[0].write_text('{"id": 1}\n')
    map_corpus(replace(job, skip_invalid=True), EncodeOptions(model=str(artifact)))
    table = parquet.read_table(job.output / "texts.jsonl-00000.parquet")
    assert table.num_rows == 0
    with MultiVectorEncoder(artifact) as encoder:
        assert table.schema.field("embedding").type.value_type.list_size == encoder.get_embedding_dimension()


@pytest.mark.parametrize(("width", "rows"), [(128, 1000), (1024, 125), (8, 16_000), (4, 20_000), (1_000_000, 1)])
def test_parts_are_smaller(width: int, rows: int) -> None:
    """A text of 200 tokens and 128 components is 100 KB, a thousand of them 100 MB."""
    serving = Serving(dimension=width, multi_vector=MultiVector(dimension=width))
    assert part_rows(["multi-vector"], serving) == part_rows(["sparse", "multi-vector"], serving) == rows
    assert part_rows(["dense", "sparse"], serving) == 20_000


def test_rows_of_a_part_where_nobody_says(job: Corpus, artifact: Path) -> None:
    with MultiVectorEncoder(artifact) as encoder:
        rows = 128_000 // encoder.get_embedding_dimension()
    job.inputs[0].write_text('{"text": "hello"}\n' * (rows + 1))
    assert map_corpus(replace(job, part_rows=None), EncodeOptions(model=str(artifact))).parts == 2


def test_one_kind_of_several(job: Corpus, hybrid_artifact: Path) -> None:
    options = EncodeOptions(model=str(hybrid_artifact))
    map_corpus(job, replace(options, kinds=("sparse",)))
    with SparseEncoder(hybrid_artifact) as encoder:
        expected = [{"indices": one.indices.tolist(), "values": one.values.tolist()} for one in encoder.encode(TEXTS)]
    assert embeddings(job) == expected
    with pytest.raises(InputError, match=r'was begun with kinds \["sparse"\], now it is \["dense"\]'):
        map_corpus(job, options)


def test_all_kinds_of_one_run(job: Corpus, hybrid_artifact: Path) -> None:
    options = EncodeOptions(model=str(hybrid_artifact), kinds=("dense", "sparse", "multi-vector"))
    map_corpus(job, options)
    columns = ["text", "dense", "sparse", "multi_vector"]
    parts = [parquet.read_table(path) for path in sorted(job.output.glob("*.parquet"))]
    assert [part.column_names for part in parts] == [columns] * 3
    rows = [row for part in parts for row in part.to_pylist()]
    with HybridEncoder(hybrid_artifact) as encoder:
        expected = encoder.encode(TEXTS)
        widths = [(kind, encoder.dimensions[kind]) for kind in encoder.kinds]
    assert expected.dense is not None
    assert expected.sparse is not None
    assert expected.multi_vector is not None
    assert widths == [
        ("dense", expected.dense.shape[1]),
        ("sparse", expected.sparse.shape[1]),
        ("multi-vector", expected.multi_vector[0].shape[1]),
    ]
    np.testing.assert_array_equal(np.array([row["dense"] for row in rows], np.float32), expected.dense)
    for row, terms, vectors in zip(rows, expected.sparse, expected.multi_vector, strict=True):
        assert row["sparse"] == {"indices": terms.indices.tolist(), "values": terms.values.tolist()}
        np.testing.assert_array_equal(np.array(row["multi_vector"], np.float32).reshape(vectors.shape), vectors)


def test_some_kinds_as_json_lines(job: Corpus, hybrid_artifact: Path) -> None:
    options = EncodeOptions(model=str(hybrid_artifact), kinds=("sparse", "dense"))
    map_corpus(replace(job, form="jsonl"), options)
    first = json.loads((job.output / "texts.jsonl-00000.jsonl").read_text().splitlines()[0])
    assert list(first) == ["text", "sparse", "dense"]
    with HybridEncoder(hybrid_artifact) as encoder:
        expected = encoder.encode(TEXTS[:1], multi_vector=False)
    np.testing.assert_array_equal(np.array([first["dense"]], np.float32), expected.dense)


def test_what_several_kinds_do_not_have(job: Corpus, hybrid_artifact: Path) -> None:
    options = EncodeOptions(model=str(hybrid_artifact), kinds=("dense", "sparse"))
    with pytest.raises(InputError, match="form is 'npy', expected one of jsonl, parquet for dense and sparse models"):
        map_corpus(replace(job, form="npy"), options)
    with pytest.raises(InputError, match="role is 'query', which dense and sparse models do not have: leave it out"):
        map_corpus(job, replace(options, role="query"))
