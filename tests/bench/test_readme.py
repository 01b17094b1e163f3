"""From result files to the tables of the documents."""

import json
import shutil
from pathlib import Path

import pytest
from embedrt_bench import readme

from embedrt.errors import InputError


@pytest.fixture
def results(tmp_path: Path, made_up: Path) -> Path:
    """A results folder with the one file that feeds every table of a report."""
    (tmp_path / "results").mkdir()
    shutil.copy(made_up, tmp_path / "results/cpu.json")
    return tmp_path / "results"


def _block(name: str, results: Path) -> list[str]:
    return readme.with_tables(f"<!-- table: {name} -->\nold\n<!-- end -->", results).splitlines()[1:-1]


def test_tables_replace_the_marked_block_only(results: Path) -> None:
    before, after = (
        "# Title\n\n| a | table |\n<!-- table: latency -->",
        "<!-- end -->\n\n<!-- a comment -->\\1 \\g<0>\n",
    )
    text = readme.with_tables(f"{before}\nold\nlines\n{after}", results)
    assert text.startswith(f"{before}\n| Engine |")
    assert text.endswith(f"\n{after}")
    assert "old" not in text
    assert readme.with_tables(text, results) == text
    assert readme.with_tables("no markers\n", results) == "no markers\n"


def test_two_blocks(results: Path) -> None:
    block = "<!-- table: latency -->\nold\n<!-- end -->"
    text = readme.with_tables(f"{block}\nbetween\n{block}\n", results)
    first, second = text.split("between\n")
    assert first.strip() == second.strip()
    assert "| **embedrt fp32** |" in first


def test_another_file(results: Path) -> None:
    path = results / "cpu.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["machine"]["cpu"] = "another one"
    (results / "mine.json").write_text(json.dumps(content), encoding="utf-8")
    text = readme.with_tables("<!-- table: mine/latency -->\n<!-- end -->", results)
    assert text.startswith("<!-- table: mine/latency -->\n| Engine |")
    assert "another one" in text
    assert _block("mine/latency", results)[:-1] == _block("latency", results)[:-1]


def test_variants_are_ours_and_the_original(results: Path) -> None:
    names = [line.split("|")[1].strip(" *") for line in _block("variants", results)[2:6]]
    assert names == ["embedrt fp32", "embedrt int8", "embedrt int8-static", "sentence-transformers float32"]


@pytest.mark.parametrize("document", readme.DOCUMENTS, ids=lambda document: document.name)
def test_documents_say_what_was_measured(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert readme.with_tables(text) == text, "type: python -m embedrt_bench.readme"


def test_check_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outdated = tmp_path / "README.md"
    outdated.write_text("old", encoding="utf-8")
    monkeypatch.setattr(readme, "DOCUMENTS", (outdated,))
    monkeypatch.setattr(readme, "with_tables", str.upper)
    monkeypatch.setattr("sys.argv", ["readme", "--check"])
    with pytest.raises(SystemExit, match=r"python -m embedrt_bench\.readme"):
        readme.main()
    assert outdated.read_text(encoding="utf-8") == "old"
    monkeypatch.setattr("sys.argv", ["readme"])
    readme.main()
    assert outdated.read_text(encoding="utf-8") == "OLD"
    monkeypatch.setattr("sys.argv", ["readme", "--check"])
    monkeypatch.setattr(Path, "write_text", None)  # a check writes nothing
    readme.main()
    assert outdated.read_text(encoding="utf-8") == "OLD"


def test_ratios_come_from_the_one_result_file(results: Path) -> None:
    lines = _block("ratios", results)
    speed = json.loads((results / "cpu.json").read_text(encoding="utf-8"))["offline"]["STS"]
    median = {name: entry["texts_per_second"]["median"] for name, entry in speed.items()}
    ours = ("embedrt fp32", "embedrt int8", "embedrt int8-static")
    assert lines[:2] == [f"| Against | {' | '.join(ours)} |", "|---|---:|---:|---:|"]
    rows = {cells[1].strip(): cells[2:-1] for cells in (line.split("|") for line in lines[2:12])}
    assert list(rows) == [name for name in median if name not in ours]
    for peer, cells in rows.items():
        for name, cell in zip(ours, cells, strict=True):
            expected = median[name] / median[peer]
            assert float(cell.split()[0]) == pytest.approx(expected, rel=0.006, abs=0.005)
    assert lines[12:14] == ["", "Not measured: light-embed."]
    assert lines[14].startswith(
        "Measured 2026-11-23 on 2 cores of an AMD EPYC <made up> (family/model 26/2), onnxruntime 1.32.0"
    )


def test_rows_of_ours_are_bold(results: Path) -> None:
    lines = _block("engines", results)
    (row,) = (line for line in lines if line.startswith("| **embedrt int8** |"))
    cells = ["embedrt int8", "2414", "7.12 ×", "2.12 ×", "0.95", "13.7 ×", "0.18", "131", "0.9991", "0.995", "74.85"]
    assert row == f"| {' | '.join(f'**{cell}**' for cell in cells)} |"
    assert sum("**" in line for line in lines) == 3
    assert "s-t: sentence-transformers" in lines[-2]


def test_bars_in_a_name_stay_inside_their_cell(results: Path) -> None:
    path = results / "cpu.json"
    path.write_text(path.read_text(encoding="utf-8").replace("static vectors", "a | b"), encoding="utf-8")
    assert any(line.startswith("| a \\| b | ") for line in _block("latency", results))


def test_what_cannot_be_made(results: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cpu\.json has no table 'nothing'; there are: engines, ratios, latency"):
        _block("nothing", results)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"cpu\.json cannot be read as JSON"):
        _block("engines", tmp_path / "empty")
