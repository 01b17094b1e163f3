"""The parts of a folder as one table, as docs/corpora.md says."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from embedrt.corpus import Corpus, EncodeOptions, map_corpus

_PAGE = Path(__file__).resolve().parents[2] / "docs/corpora.md"


def test_fields_that_differ_from_part_to_part(
    job: Corpus, corpus: Path, options: EncodeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[dict[str, Any]] = [
        {"text": "a", "of": None, "n": 1, "by": None},
        {"text": "b", "of": "c", "n": 0.5, "by": {"name": "d"}, "more": [1]},
    ]
    (corpus / "b/c.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    map_corpus(replace(job, part_rows=1, inputs=[corpus / "b/c.jsonl", corpus / "a.txt"]), options)
    monkeypatch.chdir(job.output.parent)
    [program] = re.findall(r"```python\n(import pyarrow.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, pa.Table] = {}
    exec(program, names)
    found = names["table"].sort_by("n").drop_columns("embedding").to_pylist()[:2]
    assert found == [records[1], {**records[0], "more": None}]
    assert names["table"].num_rows == 2 + 25
