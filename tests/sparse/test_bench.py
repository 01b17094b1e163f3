"""The document's tables are those of the result file."""

from embedrt_bench.kinds.sparse_table import DOCUMENT, with_tables
from embedrt_bench.results import RESULTS, read_result


def test_the_tables_are_up_to_date() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_tables(text) == text
    engines = read_result(RESULTS / "sparse.json")["engines"]
    faster = engines["embedrt int8"]["texts_per_second"] / engines["sentence-transformers float32"]["texts_per_second"]
    assert f"| {faster:.1f} × |" in text
