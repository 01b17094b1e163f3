"""What ``make compatibility`` says of rows that fail, and what it keeps; nothing is exported here."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import embedrt_export
import pytest
from embedrt_bench.compatibility import page as module
from embedrt_bench.compatibility.page import Outcome, Row, main, outcome_of, with_tables

from embedrt.errors import FidelityError, InputError


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter that is content with everything, and fails to quantize, for a reason of each variant's own."""

    def export(_checkpoint: str, _out: Path, *, quiet: bool) -> Any:
        parity = SimpleNamespace(max_abs_difference=1e-7)
        return SimpleNamespace(variants={"fp32": SimpleNamespace(attention="operator", parity=parity)})

    def quantize(artifact: Path, variant: str, **_options: Any) -> Any:
        if variant == "int8":
            raise InputError(f"{artifact}/model.onnx has no products")
        if variant == "int8-static":
            raise ZeroDivisionError("division by zero")
        return SimpleNamespace(variants={variant: SimpleNamespace(parity=SimpleNamespace(cosine_mean=0.5))})

    monkeypatch.setattr(embedrt_export, "export", export)
    monkeypatch.setattr(module, "quantize", quantize)


def _row(name: str, save: Callable[[Path], Path] = Path) -> Row:
    return Row(cells=(name, "a model"), save=save)


@pytest.mark.usefixtures("exported")
def test_each_variant_has_its_own_reason(tmp_path: Path) -> None:
    outcome = outcome_of(_row("one"), tmp_path)
    assert outcome.problems == {
        "int8": "out/model.onnx has no products",
        "int8-static": "ZeroDivisionError: division by zero",
    }
    assert (outcome.cosines, outcome.problem) == ({"fp16": 0.5}, "")
    page = module.written("words", [(_row("one"), outcome)], "<!-- table: words -->\n<!-- end -->")
    reasons = "out/model.onnx has no products | ZeroDivisionError: division by zero"
    assert f"| one | a model | one operator | 1.0e-07 | {reasons} | 0.5000 |" in page


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (FidelityError("the vectors | differ\nby much"), "the vectors | differ"),
        (KeyError("hidden_size"), "KeyError: 'hidden_size'"),
        (RuntimeError("no " * 100), f"RuntimeError: {'no ' * 48}no…"),
    ],
)
def test_what_a_checkpoint_fails_with_is_told(failure: Exception, told: str, tmp_path: Path) -> None:
    def save(_folder: Path) -> Path:
        raise failure

    outcome = outcome_of(_row("one", save), tmp_path)
    assert outcome == Outcome(problem=told)
    page = module.written("words", [(_row("one"), outcome)], "<!-- table: words -->\n<!-- end -->")
    assert f"| refused: {told} |  |  |  |".replace("vectors |", "vectors \\|") in page


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """The command with two tables of a row each, on a page and into a file of its own; gives what is in the file."""
    page, result = tmp_path / "page.md", tmp_path / "compatibility.json"
    page.write_text("".join(f"<!-- table: {name} -->\nold\n<!-- end -->\n" for name in ("words", "late")))
    monkeypatch.setattr(module, "_PAGE", page)
    monkeypatch.setattr(module, "_RESULT", result)
    heads = {"words": ("shape",), "late": ("kind",)}
    monkeypatch.setattr(
        module, "TABLES", {name: (head, lambda name=name: [_row(f"of {name}")]) for name, head in heads.items()}
    )

    def ask(*words: str, outcome: Callable[[Row], Outcome] = lambda _row: Outcome(problem="nothing")) -> dict[str, Any]:
        monkeypatch.setattr(module, "outcome_of", lambda row, _place: outcome(row))
        monkeypatch.setattr("sys.argv", ["compatibility", *words])
        main()
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
        return found

    return ask


def test_the_page_is_made_from_the_result(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    result = run(outcome=lambda _row: Outcome(attention="none", difference=1.23456789e-7, cosines={"int8": 0.9}))
    page = (tmp_path / "page.md").read_text()
    assert with_tables(page, result) == page
    assert "| of words | a model | none | 1.2e-07 | 0.9000 |  |  |\n\nExported 20" in page
    assert page.count("sentence-transformers 6") == page.count(", transformers ") == 2
    assert "old" not in page


def test_finished_tables_outlive_an_interruption(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    def interrupted(row: Row) -> Outcome:
        if row.cells[0] == "of late":
            raise KeyboardInterrupt
        return Outcome(problem="first")

    with pytest.raises(KeyboardInterrupt):
        run(outcome=interrupted)
    result = json.loads((tmp_path / "compatibility.json").read_text(encoding="utf-8"))
    assert list(result["tables"]) == list(result["measured"]) == ["words"]
    assert result["tables"]["words"][0][1]["problem"] == "first"


def test_rows_by_name(run: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("of late") == {}  # nothing is written
    said = capsys.readouterr()
    assert "| of late | a model |  | refused: nothing |  |  |  |" in said.out
    assert "of words" not in said.out
    assert "refused: of late: nothing" in said.err
    assert "old" in (tmp_path / "page.md").read_text()
    run("of late", "--output", str(tmp_path / "other.json"))
    assert list(json.loads((tmp_path / "other.json").read_text())["tables"]) == ["late"]
    assert "old" in (tmp_path / "page.md").read_text()


def test_some_rows_never_take_the_place_of_all(run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    before = run()
    with pytest.raises(
        SystemExit, match=r"compatibility\.json holds every row: type another --output for of late alone$"
    ):
        run("of late", "--output", str(tmp_path / "compatibility.json"))
    assert json.loads((tmp_path / "compatibility.json").read_text(encoding="utf-8")) == before


def test_a_row_that_there_is_not(run: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(
        SystemExit, match=r"^there is no row 'brt': type the first cell of one of docs/compatibility\.md$"
    ):
        run("brt")
