"""What counts as a change between two results, on figures whose answer is known beforehand."""

import copy
import json
from typing import Any

import pytest
from embedrt_bench.report.changes import print_comparison
from embedrt_bench.report.compare import Change, Comparison, as_json, beyond_noise, compare
from embedrt_bench.report.measures import Value
from embedrt_bench.report.names import REFERENCE
from rich.console import Console

Result = dict[str, Any]


def _scaled(result: Result, factor: float, names: list[str] | None = None) -> Result:
    """``result`` on a machine that is ``factor`` times as fast, for those engines or all of them."""
    faster = copy.deepcopy(result)
    for of in faster["offline"].values():
        for name, entry in of.items():
            if names is None or name in names:
                speed = entry["texts_per_second"]
                speed["median"] *= factor
                speed["runs"] = [run * factor for run in speed["runs"]]
    for of in faster["single_stream"].values():
        for name, entry in of.items():
            if names is None or name in names:
                entry.update({point: entry[point] / factor for point in ("p50", "p90", "p99")})
                entry["runs"] = [run / factor for run in entry["runs"]]
    return faster


def _moved(comparison: Comparison) -> dict[tuple[str, str], Change]:
    return {(change.engine, change.key): change for change in comparison.changes if change.beyond_noise}


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (Value(median=100, runs=(99, 100, 101)), Value(median=104, runs=(103, 104, 105)), True),
        (Value(median=100, runs=(99, 100, 104)), Value(median=104, runs=(103, 104, 105)), False),  # ranges overlap
        (Value(median=100, runs=(99, 100, 101)), Value(median=102.9, runs=(102, 102.9, 103)), False),  # below 3 %
        (Value(median=104, runs=(103, 104, 105)), Value(median=100, runs=(99, 100, 101)), True),
        (Value(median=100), Value(median=104, runs=(103, 104, 105)), True),  # no runs to judge by
        (Value(median=100, runs=(100,)), Value(median=104, runs=(104,)), True),
        (Value(median=100), Value(median=103), False),
        (Value(median=100), Value(median=96.9), True),
        (Value(median=0), Value(median=0), False),
        (Value(median=0), Value(median=1), True),
    ],
)
def test_rule(before: Value, after: Value, changed: bool) -> None:
    assert beyond_noise(before, after, 0.03) is changed


def test_nothing_changed(result: Result) -> None:
    comparison = compare(result, copy.deepcopy(result))
    assert (comparison.warnings, comparison.relative) == ((), False)
    assert (comparison.only_before, comparison.only_after) == ((), ())
    assert {change.ratio for change in comparison.changes} == {1.0}
    assert not any(change.beyond_noise or change.better for change in comparison.changes)
    runs = sum(len(of) for section in ("offline", "server") for of in result[section].values() if section == "offline")
    assert len([change for change in comparison.changes if change.key.startswith("offline/")]) == runs


def test_a_faster_engine(result: Result) -> None:
    comparison = compare(result, _scaled(result, 1.25, ["embedrt int8"]))
    moved = _moved(comparison)
    assert {engine for engine, _ in moved} == {"embedrt int8"}
    assert {key.partition("/")[0] for _, key in moved} == {"offline", "single_stream"}
    assert len(moved) == 4 + 6 * 3
    assert all(change.better for change in moved.values())
    assert moved["embedrt int8", "offline/STS"].ratio == pytest.approx(1.25)
    assert moved["embedrt int8", "single_stream/16/p50"].ratio == pytest.approx(0.8)
    slower = _moved(compare(_scaled(result, 1.25, ["embedrt int8"]), result))
    assert slower.keys() == moved.keys()
    assert not any(change.better for change in slower.values())


def test_quality_memory_and_sizes(result: Result) -> None:
    after = copy.deepcopy(result)
    after["quality"]["embedrt int8"].update(
        cosine_mean=0.998, sts_mean=result["quality"]["embedrt int8"]["sts_mean"] + 0.01
    )
    after["soak"]["light-embed"] = {"texts": 10000, "megabytes_after_warm_up": 1.0, "megabytes_after": 1.0}
    after["cold_start"]["embedrt fp32"]["peak_megabytes"] *= 1.04
    after["cold_start"]["embedrt int8"]["peak_megabytes"] *= 1.06
    after["sizes"]["embedrt int8"]["artifact_megabytes"] *= 0.99
    del after["roofline"]
    comparison = compare(result, after)
    assert {key: change.better for key, change in _moved(comparison).items()} == {
        ("embedrt int8", "quality/cosine_mean"): False,
        ("embedrt int8", "cold_start/peak_megabytes"): False,
        ("embedrt int8", "sizes/artifact_megabytes"): True,
    }
    assert comparison.only_after == ("light-embed: Memory after warm-up", "light-embed: Memory after the soak")
    assert comparison.only_before == tuple(
        f"{name}: Share of the measured peak" for name in result["roofline"]["share"]
    )


def test_another_machine_is_compared_by_ratios(result: Result) -> None:
    after = _scaled(result, 3.0)
    after["machine"]["cpu"] = "another"
    after["machine"]["packages"]["onnxruntime"] = "2.0"
    after["settings"]["threads"] = 4
    comparison = compare(result, after)
    assert comparison.relative
    assert comparison.warnings == (
        f"the machines differ: cpu {result['machine']['cpu']} → another",
        "the versions differ: onnxruntime 1.32.0 → 2.0",
        "the settings differ: threads 2 → 4",
        f"{REFERENCE} was not measured in both, so these were not compared: bert_zh/texts_per_second",
    )
    assert _moved(comparison) == {}  # everything is three times as fast, the reference too
    timed = [change for change in comparison.changes if change.unit]
    assert {change.unit for change in timed} == {f"× {REFERENCE}", "MB"}
    assert REFERENCE not in {change.engine for change in timed if change.unit != "MB"}
    speed = result["offline"]["STS"]
    ours, theirs = (speed[name]["texts_per_second"]["median"] for name in ("embedrt int8", REFERENCE))
    found = next(change for change in timed if (change.engine, change.key) == ("embedrt int8", "offline/STS"))
    assert found.before == pytest.approx(ours / theirs)
    assert set(_moved(compare(result, _scaled(after, 1.25, ["embedrt int8"])))) == set(
        _moved(compare(result, _scaled(result, 1.25, ["embedrt int8"])))
    )


def test_rounds_are_paired(result: Result) -> None:
    """A machine that slows down from round to round does so for both engines; their ratio stays."""
    drifting, names = copy.deepcopy(result), ("embedrt int8", REFERENCE)
    drifting["machine"]["cpu"] = "one that slows down"
    drifting["offline"] = {"STS": {}}
    for name, speed in zip(names, (2000.0, 250.0), strict=True):
        runs = [speed * factor for factor in (2.0, 1.0, 0.5)]
        drifting["offline"]["STS"][name] = {"texts_per_second": {"median": speed, "runs": runs}}
    steady = copy.deepcopy(drifting)
    steady["machine"]["cpu"] = "one that does not"
    for name, speed in zip(names, (2400.0, 250.0), strict=True):
        steady["offline"]["STS"][name] = {"texts_per_second": {"median": speed, "runs": [speed] * 3}}
    moved = _moved(compare(drifting, steady))
    assert moved["embedrt int8", "offline/STS"].ratio == pytest.approx(1.2)


def test_another_machine_without_the_reference(result: Result) -> None:
    after = copy.deepcopy(result)
    after["machine"]["governor"] = "powersave"
    del after["offline"]["STS"][REFERENCE]
    after["server"][REFERENCE]["requests_per_second"] = 0.0
    comparison = compare(result, after)
    assert "these were not compared: offline/STS, server/requests_per_second, bert_zh" in comparison.warnings[-1]
    assert "offline/STS" not in {change.key for change in comparison.changes}
    assert "offline/mixed" in {change.key for change in comparison.changes}


def test_a_short_run_against_a_whole_one(result: Result) -> None:
    """Sections of one result only are named, whether the reference is in them or not."""
    short = {
        key: value for key, value in copy.deepcopy(result).items() if key not in ("server", "single_stream", "quality")
    }
    short["offline"] = {"STS": {name: short["offline"]["STS"][name] for name in ("embedrt fp32", "embedrt int8")}}
    short["machine"]["cpu"] = "another"
    for one, other in ((short, result), (result, short)):
        comparison = compare(one, other)
        assert {change.key.partition("/")[0] for change in comparison.changes} == {
            "cold_start",
            "soak",
            "sizes",
            "roofline",
        }
        assert "these were not compared: offline/STS, bert_zh/texts_per_second" in comparison.warnings[-1]
    assert f"{REFERENCE}: Throughput, STS" in comparison.only_before
    assert "embedrt int8: One text of 16 tokens, p50" in comparison.only_before


def test_as_json(result: Result) -> None:
    answer = json.loads(json.dumps(as_json(compare(result, _scaled(result, 1.25, ["embedrt int8"]))), allow_nan=False))
    (found,) = (one for one in answer["changes"] if (one["engine"], one["key"]) == ("embedrt int8", "offline/STS"))
    median = result["offline"]["STS"]["embedrt int8"]["texts_per_second"]["median"]
    assert found == {
        "key": "offline/STS", "title": "Throughput, STS", "engine": "embedrt int8", "unit": "texts/s",
        "before": median, "after": median * 1.25, "ratio": pytest.approx(1.25), "beyond_noise": True, "better": True,
    }  # fmt: skip
    assert (answer["warnings"], answer["relative"]) == ([], False)


def test_terminal(result: Result, capsys: pytest.CaptureFixture[str]) -> None:
    after = _scaled(result, 0.5, ["fastembed fp32"])
    after["machine"]["system"] = "[bold]another[/nothing]"
    del after["server"]["static vectors"]
    print_comparison(compare(result, after), Console(width=160, highlight=False))
    shown = capsys.readouterr().out
    assert "not the same the machines differ: system Linux 6.18, Python 3.11.7 → [bold]another[/nothing]\n" in shown
    assert "ratios to sentence-transformers float32 in the same run" in shown
    row = next(line for line in shown.splitlines() if "Throughput, STS" in line)
    assert row.split()[:2] == ["fastembed", "fp32"]
    assert row.split()[-3:] == ["0.500", "×", "worse"]
    assert "22 figures changed beyond noise, " in shown
    assert "Only in the first (1): static vectors: Server: highest rate" in shown
