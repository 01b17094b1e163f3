"""The document's table of late interaction is that of the result file."""

from pathlib import Path

import pytest
from embedrt_bench.kinds.multi_vector import with_table
from embedrt_bench.results import RESULTS, read_result

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "multi-vector.md"


def test_the_document_has_the_measured_table() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_table(text) == text
    engines = read_result(RESULTS / "multi_vector.json")["engines"]
    for name, one in engines.items():
        assert f"| {name} | {one['documents_per_second']:.0f} |" in text


def test_a_table_that_is_not_there_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        with_table("<!-- late: speed -->\n<!-- end -->", tmp_path)
