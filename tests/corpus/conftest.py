"""A corpus of every kind of file, small."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from embedrt.corpus import Corpus, EncodeOptions

WORDS = ["how", "do", "i", "reset", "my", "password", "a", "cat", "sat", "忘", "记"]
Rows = Callable[[int], list[str]]


def _texts(count: int, start: int = 0) -> list[str]:
    return [
        " ".join(WORDS[(at * step) % len(WORDS)] for step in range(1, 3 + at % 7)) for at in range(start, start + count)
    ]


def _json_lines(records: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


@pytest.fixture
def texts() -> Callable[..., list[str]]:
    return _texts


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """a.txt (25 texts), b/c.jsonl (12), b/d.jsonl.gz (7), e.parquet (23, in groups of 4)."""
    folder = tmp_path / "corpus"
    (folder / "b").mkdir(parents=True)
    (folder / "a.txt").write_text("\n".join(_texts(25)) + "\n", encoding="utf-8")
    records: list[dict[str, Any]] = [{"id": at, "text": text} for at, text in enumerate(_texts(12, 100))]
    (folder / "b/c.jsonl").write_bytes(_json_lines(records).replace(b"\n", b"\n\n", 1))
    (folder / "b/d.jsonl.gz").write_bytes(gzip.compress(_json_lines([{"text": text} for text in _texts(7, 200)])))
    table = pa.table({"number": pa.array(range(23), pa.int16()), "text": _texts(23, 300)})
    parquet.write_table(table, folder / "e.parquet", row_group_size=4)
    (folder / "notes.md").write_text("no corpus", encoding="utf-8")
    return folder


@pytest.fixture
def job(corpus: Path, tmp_path: Path) -> Corpus:
    return Corpus(inputs=[corpus], output=tmp_path / "vectors", part_rows=10)


@pytest.fixture
def options(tiny: Path) -> EncodeOptions:
    return EncodeOptions(model=str(tiny))
