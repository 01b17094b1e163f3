"""Every kind of sparse encoder of docs/compatibility.md, really exported; one in every run, all with ``-m slow``."""

from pathlib import Path

import pytest
from embedrt_bench.compatibility.page import Row, outcome_of
from embedrt_bench.compatibility.sparse import SPARSE

_IN_EVERY_RUN = ("splade, ModernBERT",)
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"


@pytest.mark.parametrize(
    "name", [name if name in _IN_EVERY_RUN else pytest.param(name, marks=pytest.mark.slow) for name in SPARSE]
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_it_is_exported_and_quantized(name: str, tmp_path: Path) -> None:
    outcome = outcome_of(Row(cells=(name,), save=SPARSE[name].save), tmp_path)
    assert outcome.problem == ""
    assert outcome.attention == "operator"
    assert outcome.difference is not None
    assert outcome.difference < 1e-5
    assert min(outcome.cosines.values()) > 0.99
    assert sorted(outcome.cosines) == ["fp16", "int8", "int8-static"]


def test_every_kind_has_its_row() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in SPARSE if f"\n| {name} | " not in text] == []
