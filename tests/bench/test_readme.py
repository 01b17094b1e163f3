"""From result files to the tables of the documents."""

import json
import shutil
from pathlib import Path

import pytest
from embedrt_bench import readme
from embedrt_bench.results import write_result

from embedrt.errors import InputError

MEASURED = {
    "offline_texts_per_second": {"ours": {"median": 300.4, "runs": [300.4]}, "theirs": {"median": 200.0, "runs": []}},
    "offline_ratio": 1.502,
    "single_stream_milliseconds": {"ours": {"p50": 2.04}, "theirs": {"p50": 8.16}},
    "single_stream_ratio": 4.0,
    "cold_start": {
        "ours": {"seconds": [0.9, 0.5, 0.1], "peak_megabytes": 100.0},
        "theirs": {"seconds": [4.0, 7.0, 5.0, 3.0, 6.0], "peak_megabytes": 650.0},
    },
    "export_seconds": 24.6,
    "runtime_install_megabytes": 150.2,
    "offline_share_of_gemm_peak": 0.804,
    "gemm_peak_gflops_per_thread": 104.8,
    "sts": {"STS12": 72.371, "STSb test": 82.03},
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_result(tmp_path / "results/road.json", MEASURED)
    return tmp_path / "results"


def test_tables_replace_the_marked_block_only(results: Path) -> None:
    before, after = "# Title\n\n| a | table |\n<!-- table: road -->", "<!-- end -->\n\n<!-- a comment -->\\1 \\g<0>\n"
    text = readme.with_tables(f"{before}\nold\nlines\n{after}", results)
    assert text.startswith(f"{before}\n| all-MiniLM-L6-v2, fp32 |")
    assert text.endswith(f"\n{after}")
    assert "old" not in text
    assert readme.with_tables(text, results) == text
    assert readme.with_tables("no markers\n", results) == "no markers\n"


def test_two_blocks(results: Path) -> None:
    block = "<!-- table: road -->\nold\n<!-- end -->"
    text = readme.with_tables(f"{block}\nbetween\n{block}\n", results)
    first, second = text.split("between\n")
    assert first.strip() == second.strip()
    assert "| STS sentences a second |" in first


def test_table(results: Path) -> None:
    lines = readme.with_tables("<!-- table: road -->\n<!-- end -->", results).splitlines()[1:-1]
    assert lines[2:6] == [
        "| STS sentences a second | 300 | 200 | 1.5 × |",
        "| one sentence of 16 tokens, median | 2.0 ms | 8.2 ms | 4.0 × |",
        "| import to first vector | 0.50 s | 5.00 s | 10.0 × |",
        "| peak memory of that process | 100 MB | 650 MB | 6.5 × |",
    ]
    assert lines[7:9] == [
        "STS Spearman × 100: STS12 72.37, STSb test 82.03.",
        (
            'Export with verification 25 s; `pip install "embedrt[cpu]"` adds 150 MB. The constant matrices alone run at 80% of '
            "the float32 peak of ONNX Runtime's own matrix product (105 GFLOP/s a core)."
        ),
    ]
    machine = json.loads((results / "road.json").read_text(encoding="utf-8"))["machine"]
    assert machine["cpu"] in lines[9]
    assert f"onnxruntime {machine['packages']['onnxruntime']}, torch " in lines[9]


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


@pytest.fixture
def one_file(tmp_path: Path, made_up: Path) -> Path:
    """A results folder with the one file that feeds every table of a report."""
    shutil.copy(made_up, tmp_path / "cpu.json")
    return tmp_path


def _block(name: str, results: Path) -> list[str]:
    return readme.with_tables(f"<!-- table: {name} -->\nold\n<!-- end -->", results).splitlines()[1:-1]


def test_ratios_come_from_the_one_result_file(one_file: Path) -> None:
    lines = _block("ratios", one_file)
    speed = json.loads((one_file / "cpu.json").read_text(encoding="utf-8"))["offline"]["STS"]
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


def test_rows_of_ours_are_bold(one_file: Path) -> None:
    lines = _block("engines", one_file)
    (row,) = (line for line in lines if line.startswith("| **embedrt int8** |"))
    cells = ["embedrt int8", "2414", "7.12 ×", "2.12 ×", "0.95", "13.7 ×", "0.18", "131", "0.9991", "0.995", "74.85"]
    assert row == f"| {' | '.join(f'**{cell}**' for cell in cells)} |"
    assert sum("**" in line for line in lines) == 3
    assert "s-t: sentence-transformers" in lines[-2]


def test_bars_in_a_name_stay_inside_their_cell(one_file: Path) -> None:
    path = one_file / "cpu.json"
    path.write_text(path.read_text(encoding="utf-8").replace("static vectors", "a | b"), encoding="utf-8")
    assert any(line.startswith("| a \\| b | ") for line in _block("latency", one_file))


def test_what_cannot_be_made(one_file: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"cpu\.json has no table 'nothing'; there are: engines, ratios, latency, .*, road, int8"
    ):
        _block("nothing", one_file)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"cpu\.json cannot be read as JSON"):
        _block("engines", tmp_path / "empty")


def test_a_file_of_its_own_comes_first(one_file: Path) -> None:
    lines = _block("profile", one_file)
    assert lines[:3] == ["| Operator | fp32 | int8 | int8-static |", "|---|---:|---:|---:|", "| MatMul | 85.2% |  |  |"]
    write_result(
        one_file / "profile.json", {"share_of_time": {"fp32": {"Add": 0.25, "other": 0.75}}, "texts": "some texts"}
    )
    assert _block("profile", one_file)[:3] == ["| operator | fp32 |", "|---|---|", "| Add | 25.0% |"]
