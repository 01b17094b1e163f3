"""Result files, and the texts that results are measured on."""

import datetime as dt
from pathlib import Path

from embedrt_bench.results import read_result, write_result
from embedrt_bench.texts.workloads import composed_sentences

from embedrt.machine.threads import available_threads


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


def test_composed_sentences() -> None:
    sentences = composed_sentences(2000)
    assert sentences == composed_sentences(2000)
    assert sentences[:500] == composed_sentences(500)
    assert sentences != composed_sentences(2000, seed=1)
    assert sentences[0] == ("The youngest player cannot find the broken bridge after a long and rather quiet meeting.")
    lengths = {len(sentence.split()) for sentence in sentences}
    assert min(lengths) >= 6
    assert 20 <= max(lengths) <= 25
    assert len(set(composed_sentences(30_000))) == 30_000
