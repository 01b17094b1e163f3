"""From a result file to the README's tables, and the texts that results are measured on."""

import datetime as dt
import json
from pathlib import Path

import pytest
from embedrt_bench import readme
from embedrt_bench.results import read_result, write_result
from embedrt_bench.workloads import composed_sentences

from embedrt.threads import available_threads

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


def test_result_round_trip(tmp_path: Path) -> None:
    measured = {"ratio": 1 / 3, "runs": [1234567.0, 2], "nested": {"tiny": 1.23456789e-7}, "text": "文", "none": None}
    write_result(tmp_path / "new/folder/result.json", measured)
    found = read_result(tmp_path / "new/folder/result.json")
    assert dt.date.fromisoformat(found.pop("date")) <= dt.datetime.now(tz=dt.UTC).date()
    machine = found.pop("machine")
    assert machine["threads"] == available_threads()
    assert {"embedrt", "onnxruntime", "torch", "sentence-transformers"} <= set(machine["packages"])
    expected = {"ratio": 0.333333, "runs": [1234570.0, 2], "nested": {"tiny": 1.23457e-7}, "text": "文", "none": None}
    assert found == expected
    assert "文" in (tmp_path / "new/folder/result.json").read_text(encoding="utf-8")


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


def test_composed_sentences() -> None:
    sentences = composed_sentences(2000)
    assert sentences == composed_sentences(2000)
    assert sentences[:500] == composed_sentences(500)
    assert sentences != composed_sentences(2000, seed=1)
    assert sentences[0] == ("The youngest player cannot find the broken bridge after a long and rather quiet meeting.")
    lengths = {len(sentence.split()) for sentence in sentences}
    assert min(lengths) >= 6
    assert 20 <= max(lengths) <= 25
    assert len(set(sentences)) > 1500
