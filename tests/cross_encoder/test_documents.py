"""docs/reranking.md does what it says, and its tables are those of the result file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedrt_bench.kinds.rerank import DOCUMENT, with_tables

TEXT = DOCUMENT.read_text(encoding="utf-8")


def test_the_example_runs(tmp_path: Path, write_reranker: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    write_reranker(tmp_path / "reranker")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 1
    names: dict[str, Any] = {}
    exec(blocks[0], names)
    assert np.shape(names["scores"]) == (2,)
    assert np.ndim(names["one"]) == 0
    assert isinstance(names["best"], list)
    assert set(names["best"][0]) == {"corpus_id", "score", "text"}


def test_the_tables_are_up_to_date() -> None:
    assert with_tables(TEXT) == TEXT, "python -m embedrt_bench.kinds.rerank --tables"
    assert TEXT.count("| **embedrt int8** |") == 1
