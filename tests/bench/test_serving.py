"""The serving bench without its minutes: texts of one length, tables from a result, and the load client's counting."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from embedrt_bench.results import RESULTS
from embedrt_bench.serving import run, scenarios, tables
from embedrt_bench.serving.load import bodies_file, load, require_wrk
from embedrt_bench.serving.process import Running
from embedrt_bench.serving.run import texts_of

from embedrt.errors import MissingDependencyError
from embedrt.text.tokenizer import TextTokenizer

MADE_UP: dict[str, Any] = {
    "date": "2026-01-02",
    "machine": {"threads": 2, "cpu": "Made Up", "cpu_family_model": "1/2", "packages": {"onnxruntime": "9.9"}},
    "variant": "int8",
    "tokens_per_text": 16,
    "stacks": {"slow": {"cpu_milliseconds": 0.5, "per_second": 1234.5}, "embedrt": {"cpu_milliseconds": 0.25, "per_second": 9.0}},
    "single": {
        "texts_per_second": 600.4, "share_of_offline": 0.678, "p99": 0.0991, "refused": 1, "broken": 2,
        "requests": 36000, "seconds": 60.1, "cpu_milliseconds_above_encoding": 0.1234,
    },
    "many": {"texts_per_second": 800.0, "share_of_offline": 0.91},
    "latency_milliseconds": {"served": 5.5, "encoded": 5.0, "above": 0.5},
    "idle_percent": 0.25,
    "overload": {"clients": 2000, "refused": 10, "requests": 15, "broken": 0, "recovery_seconds": 0.2},
    "infinity": {
        "engine": "torch", "version": "0.1",
        "single": {"texts_per_second": 100.0, "p99": 0.5}, "many": {"texts_per_second": 1200.0},
    },
    "beside_infinity": {
        "fp32": {"single": {"texts_per_second": 300.0, "p99": 0.25}, "many": {"texts_per_second": 400.0}},
    },
    "soak": {"requests": 100000, "last_bytes": 123456789, "growth": 0.013},
}  # fmt: skip


@pytest.fixture
def result(tmp_path: Path) -> Path:
    path = tmp_path / "serving.json"
    path.write_text(json.dumps(MADE_UP), encoding="utf-8")
    return path


def test_tables(result: Path) -> None:
    text = "before\n<!-- serving: stacks -->\nold\n<!-- end -->\nbetween\n<!-- serving: load -->\n<!-- end -->\nafter\n"
    made = tables.with_tables(text, result)
    assert made.startswith("before\n<!-- serving: stacks -->\n| stack |")
    assert "old" not in made
    rows = [line for line in made.splitlines() if line.startswith("| **embedrt")]
    assert rows == ["| **embedrt** | 0.250 | 9 |"]
    assert made.index("**embedrt**") < made.index("slow")  # the cheapest first
    for cell in (
        "| ≥ 55 % | 68% (600 texts/s) |", "| ≤ 120 ms | 99 ms |", "| 0 | 3 of 36,000 in 60 s |", "| ≤ 0.25 ms | 0.12 ms |",
        "| ≥ 85 % | 91% (800 texts/s) |", "0.50 ms (5.50 beside 5.00)", "| < 1 % CPU | 0.25 % |",
        "+1.3% over 100,000 requests, 123 MB", "10 × 429, 5 answered, 0 broken", "| ≤ 1 s | 0.20 s |", "onnxruntime 9.9.",
    ):  # fmt: skip
        assert cell in made
    assert tables.with_tables(made, result) == made


def test_what_was_not_measured_yet(tmp_path: Path) -> None:
    part = tmp_path / "part.json"
    part.write_text(json.dumps({name: MADE_UP[name] for name in ("date", "machine", "single")}), encoding="utf-8")
    text = "<!-- serving: load -->\nold\n<!-- end -->"
    assert tables.with_tables(text, part) == text.replace("old", "Not measured yet: make bench-serving.")


def test_a_peer_beside_us(result: Path, tmp_path: Path) -> None:
    text = "<!-- serving: peer -->\n<!-- end -->"
    made = tables.with_tables(text, result)
    assert "| **embedrt serve, fp32** | 300 texts/s | 250 ms | 400 texts/s |" in made
    assert "| infinity-emb 0.1, torch | 100 texts/s | 500 ms | 1,200 texts/s |" in made
    alone = tmp_path / "alone.json"
    alone.write_text(json.dumps(MADE_UP | {"infinity": {"not_measured": "why"}}), encoding="utf-8")
    assert "infinity-emb was not measured: why." in tables.with_tables(text, alone)


@pytest.mark.skipif(not (RESULTS / "serving.json").is_file(), reason="there is no result yet")
def test_the_document_is_what_the_result_file_says() -> None:
    text = tables.DOCUMENT.read_text(encoding="utf-8")
    assert tables.with_tables(text) == text


def test_texts_are_of_one_length_and_different(tiny: Path) -> None:
    tokenizer = TextTokenizer(tiny / "tokenizer.json")
    texts = texts_of(50, tokenizer=tokenizer, tokens=10)
    assert set(tokenizer.encode(texts).lengths.tolist()) == {10}
    assert len(set(texts)) > 45
    assert texts == texts_of(50, tokenizer=tokenizer, tokens=10)


def test_wrk_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(MissingDependencyError, match="type apt-get install wrk"):
        require_wrk()


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_load_counts(tiny: Path, tmp_path: Path) -> None:
    server_module = pytest.importorskip("embedrt.server", reason="the extra `serve` is not installed")
    source = server_module.ModelSource(name="m", location=str(tiny))
    bodies = bodies_file(tmp_path / "bodies", [["a cat"], ["hello world"]], model="m", many=False)
    wrong = bodies_file(tmp_path / "wrong", [["a"]], model="gone", many=False)
    with server_module.Server(server_module.ServerSettings(models=(source,), port=0, log_level="error")) as server:
        good = load(server.address, bodies, clients=2, seconds=1)
        bad = load(server.address, wrong, clients=2, seconds=1)
    assert good["requests"] > 10
    assert (good["refused"], good["broken"]) == (0, 0)
    assert 0 < good["p50"] <= good["p99"] <= good["most"] < 1
    assert bad["refused"] == bad["requests"] > 10


def test_what_is_refused_is_no_throughput(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """To say no is fast: a server that refuses half of all requests serves half as many texts."""
    seen = {"requests": 100, "seconds": 2.0, "refused": 50, "broken": 0}
    monkeypatch.setattr(scenarios, "load", lambda *_, **__: dict(seen))
    monkeypatch.setattr(Running, "cpu_seconds", lambda self: 1.0)
    found = scenarios.throughput(Running(0, "nowhere"), tmp_path, clients=4, texts=32, seconds=2)
    assert found["texts_per_second"] == 50 * 32 / 2
    seen["refused"] = 100
    with pytest.raises(RuntimeError, match="no request was answered"):
        scenarios.throughput(Running(0, "nowhere"), tmp_path, clients=4, texts=32, seconds=2)


def test_the_made_up_result_has_the_keys_of_a_real_one() -> None:
    path = RESULTS / "serving.json"
    if not path.is_file():
        pytest.skip("there is no result yet")
    real = json.loads(path.read_text(encoding="utf-8"))
    made_up = copy.deepcopy(MADE_UP)
    for name in ("single", "many", "latency_milliseconds", "overload", "soak"):
        assert set(made_up[name]) <= set(real[name]), name


def test_a_part_alone_leaves_the_others_their_day(
    result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was measured before a part that fails is kept."""
    apart = {"date": "2026-03-04", "machine": {**MADE_UP["machine"], "cpu": "Another"}}

    def measure(_folder: Path, parts: list[str], *, scale: float) -> dict[str, Any]:
        if parts == ["infinity"]:
            raise MissingDependencyError("wrk is not installed")
        return {name: MADE_UP[name] for name in ("overload", "soak")} | {"scale": scale}

    monkeypatch.setattr(run, "measure", measure)
    monkeypatch.setattr(run, "exported", lambda: (tmp_path, None))
    monkeypatch.setattr(run, "with_variants", lambda folder, _variants: folder)
    monkeypatch.setattr("embedrt_bench.results.stamp", lambda: apart)
    monkeypatch.setattr(tables, "RESULT", result)
    monkeypatch.setattr("sys.argv", ["serving", "endurance", "infinity"])
    with pytest.raises(SystemExit, match="wrk is not installed"):
        run.main()
    found = json.loads(result.read_text(encoding="utf-8"))
    assert (found["date"], found["measured"]) == ("2026-01-02", {"endurance": apart})
    blocks = [f"<!-- serving: {name} -->\n<!-- end -->" for name in ("stacks", "load")]
    stacks, load_table = (tables.with_tables(block, result) for block in blocks)
    assert "Measured 2026-01-02 on 2 processors of an Made Up" in stacks
    assert "Load: Measured 2026-01-02 on 2 processors of an Made Up" in load_table
    assert "Endurance: Measured 2026-03-04 on 2 processors of an Another" in load_table
