"""Whole commands in processes of their own."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from embedrt_bench.engines.cold_process import cold_run
from embedrt_bench.scenarios import jobs as scenario

from embedrt.errors import EmbedrtError


def test_every_variant_takes_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Sequence[str]] = []
    figures = iter(
        [
            (9.0, 300.0),
            (20.0, 1.0),
            (4.0, 100.0),
            (8.0, 200.0),
            (10.0, 1.0),
            (5.0, 120.0),
            (7.0, 250.0),
            (15.0, 1.0),
            (6.0, 110.0),
        ]
    )

    def run(arguments: Sequence[str], threads: int) -> tuple[float, float]:
        calls.append(arguments)
        assert threads == 2
        if arguments[0] == "pairs":
            assert Path(arguments[2]).read_text(encoding="utf-8") == "one text\nanother\n"
        return next(figures)

    monkeypatch.setattr(scenario, "_run", run)
    found = scenario.jobs(
        ("fp32", "int8"),
        ["one\n text", "another"],
        artifact=tmp_path / "a",
        checkpoint=tmp_path / "c",
        threads=2,
        rounds=3,
    )
    assert [call[0] for call in calls] == ["pairs", "export", "pairs"] * 3
    assert calls[0][3:7] == ["--top", "100", "--variant", "fp32"]
    assert found == {
        "embedrt fp32": {"pairs_seconds": 8.0, "pairs_peak_megabytes": 250.0, "export_seconds": 15.0, "pairs_of": 2},
        "embedrt int8": {"pairs_seconds": 5.0, "pairs_peak_megabytes": 110.0, "pairs_of": 2},
    }


def test_a_real_command(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("a cat\na dog\na cat\n", encoding="utf-8")
    out = tmp_path / "pairs.jsonl"
    seconds, peak = scenario._run(["pairs", str(tiny), str(tmp_path / "texts.txt"), "--top", "1", "-o", str(out)], 1)
    assert seconds > 0
    assert 20 < peak < 2000, "megabytes"
    assert len(out.read_text(encoding="utf-8").splitlines()) == 1


def test_a_command_that_fails(tmp_path: Path) -> None:
    missing: Any = [str(tmp_path / "missing"), str(tmp_path / "texts.txt")]
    with pytest.raises(EmbedrtError, match=r"^-m embedrt pairs ended with status \d: embedrt: .*texts.txt"):
        scenario._run(["pairs", *missing], 1)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor only")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_command_gets_the_budget_that_engines_get(tmp_path: Path, threads: int) -> None:
    seen = tmp_path / "seen"
    program = "import os, sys; open(sys.argv[1], 'w').write(str(len(os.sched_getaffinity(0))))"
    cold_run(["-c", program, str(seen)], threads=threads)
    assert seen.read_text(encoding="utf-8") == str(threads)
