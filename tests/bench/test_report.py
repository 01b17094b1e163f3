"""Figures, tables and plots of a made-up result, against its JSON; and results that are none."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from embedrt_bench.engines import catalogue as engines
from embedrt_bench.report.looks import looks
from embedrt_bench.report.measures import by_key
from embedrt_bench.report.names import REFERENCE, short
from embedrt_bench.report.plots import plots
from embedrt_bench.report.reading import load
from embedrt_bench.report.tables import tables
from embedrt_bench.report.terminal import print_result
from rich.console import Console

from embedrt.errors import InputError

Result = dict[str, Any]


def test_measures_hold_every_figure(result: Result) -> None:
    found = by_key(result)
    for profile, of in result["offline"].items():
        for name, entry in of.items():
            value = found[f"offline/{profile}"].values[name]
            assert (value.median, list(value.runs)) == tuple(entry["texts_per_second"].values())
    for length, of in result["single_stream"].items():
        for name, entry in of.items():
            assert [
                found[f"single_stream/{length}/{point}"].values[name].median for point in ("p50", "p90", "p99")
            ] == [entry[point] for point in ("p50", "p90", "p99")]
    assert found["sizes/install_megabytes"].values.keys() == {
        name for name, entry in result["sizes"].items() if entry["install_megabytes"] is not None
    }
    assert {key: value.median for key, value in found["roofline/share"].values.items()} == result["roofline"]["share"]
    assert [one.key for one in found.values() if one.more_is_better] == [
        *(f"offline/{profile}" for profile in result["offline"]),
        "server/requests_per_second", "quality/cosine_mean", "quality/cosine_min", "quality/sts_mean", "roofline/share",
        "bert_zh/texts_per_second",
    ]  # fmt: skip


def test_tolerances_are_those_that_the_rule_of_comparing_names(result: Result) -> None:
    found = by_key(result)
    expected = {
        "offline/STS": 0.03, "single_stream/16/p50": 0.03, "single_stream/16/p90": 0.1, "single_stream/16/p99": 0.1,
        "server/requests_per_second": 0.1, "cold_start/seconds": 0.03, "cold_start/peak_megabytes": 0.05,
        "soak/megabytes_after": 0.05, "sizes/artifact_megabytes": 0.001, "quality/cosine_mean": 0.0002,
        "quality/cosine_min": 0.002, "quality/sts_mean": 0.0005, "roofline/share": 0.1, "bert_zh/texts_per_second": 0.1,
    }  # fmt: skip
    assert {key: found[key].tolerance for key in expected} == expected
    untimed = {key.partition("/")[0] for key, one in found.items() if not one.timed}
    assert untimed == {"soak", "sizes", "quality", "roofline", "cold_start"}
    assert found["cold_start/seconds"].timed


def test_every_table_accounts_for_every_engine(result: Result) -> None:
    made = tables(result)
    assert list(made) == [
        "engines",
        "ratios",
        "latency",
        "tail",
        "profiles",
        "server",
        "memory",
        "roofline",
        "profile",
        "bert_zh",
    ]
    for table in [table for name, table in made.items() if name not in ("profile", "bert_zh")]:
        rows = {row[0] for row in table.rows} | set(table.columns)
        missing = table.note.removeprefix("Not measured: ").removesuffix(".").split("; ")
        assert (rows | set(missing)) >= set(result["engines"])
        assert not rows & set(missing)
        assert {len(row) for row in table.rows} == {len(table.columns)}
    assert next(row for row in made["memory"].rows if row[0] == "fastembed dynamic int8")[2:5] == ("–", "–", "–")
    assert (
        next(row for row in made["tail"].rows if row[0] == "embedrt int8")[1]
        == f"{result['single_stream']['8']['embedrt int8']['p99']:.2f}"
    )


def test_a_soak_that_ended_early_says_after_how_many_texts(result: Result) -> None:
    assert "After 10000 texts" in tables(result)["memory"].columns
    result["soak"]["fastembed fp32"]["texts"] = 5000
    result["soak"]["static vectors"]["texts"] = 7500
    table = tables(result)["memory"]
    assert "After up to 10000 texts" in table.columns
    assert table.note.startswith("Fewer in the time given: fastembed fp32: 5000; static vectors: 7500. Not measured: ")


def test_ratios_say_how_many_times_as_good(result: Result) -> None:
    rows = {row[0]: row for row in tables(result)["engines"].rows}
    assert rows["embedrt int8"] == (
        "embedrt int8", "2414", "7.12 ×", "2.12 ×", "0.95", "13.7 ×", "0.18", "131", "0.9991", "0.995", "74.85",
    )  # fmt: skip
    assert (rows[REFERENCE][2], rows[REFERENCE][5], rows["embedrt fp32"][3]) == ("1.00 ×", "1.00 ×", "1.00 ×")


def test_operators_and_the_larger_model(result: Result) -> None:
    made = tables(result)
    assert made["profile"].rows[0] == ("MatMul", "85.2%", "", "")
    assert made["profile"].rows[-1] == ("other", "9.6%", "23.1%", "23.2%")
    assert made["bert_zh"].rows == (("embedrt fp32", "14.8", "1.00 ×"), ("embedrt int8", "51.3", "3.47 ×"))


def test_without_ours_and_without_the_reference(result: Result, bare: Result) -> None:
    offline = {"STS": {"fastembed fp32": result["offline"]["STS"]["fastembed fp32"]}}
    made = tables({**bare, "offline": offline})
    assert "ratios" not in made
    assert made["engines"].columns == ("Engine", "STS, texts/s")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda result: result.update(format=2), r"no result of format 1 \(format: 2\)"),
        (lambda result: result.pop("engines"), "KeyError: 'engines'"),
        (lambda result: result["machine"].pop("packages"), "KeyError: 'packages'"),
        (lambda result: result["offline"]["STS"]["embedrt int8"].pop("texts_per_second"), "KeyError: 'texts_per_second'"),
        (lambda result: result["server"].update(a={"requests_per_second": "fast"}), "ValueError: could not convert"),
        (lambda result: result.update(soak=[1]), "AttributeError"),
        (lambda result: result["engines"]["light-embed"].pop("reason"), "KeyError: 'reason'"),
    ],
)  # fmt: skip
def test_foreign_results(result: Result, tmp_path: Path, change: Callable[[Result], object], message: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result), encoding="utf-8")
    assert load(path) == result
    change(result)
    path.write_text(json.dumps(result), encoding="utf-8")
    with pytest.raises(InputError, match=rf"result\.json .*{message}.*measure it again with embedrt bench"):
        load(path)


@pytest.mark.parametrize("content", [None, b"{", b"\xff", b"[]", b"null"])
def test_files_that_are_no_result(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "result.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"result\.json .*embedrt bench"):
        load(path)


def test_names_are_those_of_the_catalogue() -> None:
    assert engines.REFERENCE == REFERENCE
    names = engines.catalogue()
    found = looks(names)
    assert len({(look.color, look.marker) for look in found.values()}) == len(names)
    assert len({short(name) for name in names}) == len(names)


def test_plots_say_what_they_show(result: Result) -> None:
    drawn = plots(result)
    assert list(drawn) == ["engines", "latency", "profiles", "memory", "roofline"]
    for name, plot in drawn.items():
        text = " ".join(re.findall(r">([^<>]+)</text>", plot.svg))
        for engine in result["engines"]:
            shown = engine in text or short(engine) in text
            assert shown != (engine in plot.note), (name, engine)
        assert re.search(rf'role="img" aria-labelledby="{name}-title" aria-describedby="{name}-description"', plot.svg)
        assert f'<title id="{name}-title">{plot.title}</title>' in plot.svg
        assert "<metadata" not in plot.svg
    assert "after the soak" in drawn["memory"].svg
    assert "Largest: embedrt fp32 with 81%" in drawn["roofline"].svg
    assert "not measured after the soak" in drawn["memory"].svg


@pytest.mark.parametrize("width", [60, 80, 200])
def test_terminal(result: Result, width: int) -> None:
    result["engines"]["light-embed"]["reason"] = "[bold]not built[/nothing] :cat:"
    result["settings"]["model"] = "a[b]c"
    console = Console(width=width, record=True, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    with console.file:
        print_result(result, console)
    text = console.export_text()
    assert text.startswith("a[b]c, 5000 STS sentences")
    assert "not measured light-embed: [bold]not built[/nothing] :cat:" in text
    assert max(map(len, text.splitlines()[:-1])) <= max(width, 80)
    if width == 200:
        for table in tables(result).values():
            for row in table.rows:
                assert re.search(r"\s+".join(map(re.escape, (short(row[0]), *row[1:]))), text), row
