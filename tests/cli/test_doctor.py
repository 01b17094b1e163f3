"""What doctor says of a machine and of a model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_a_machine_in_order(run: Run) -> None:
    ended = run("doctor", "--json")
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    assert found["problems"] == found["placements"] == []
    assert "CPUExecutionProvider" in found["providers"]
    assert set(found["packages"]) == {"onnxruntime"}
    assert found["threads"] >= 1


def test_where_a_model_runs(run: Run, tiny: Path) -> None:
    ended = run("doctor", str(tiny), "--json")
    placed = json.loads(ended.out)["placements"]
    assert {one["provider"] for one in placed} == {"CPUExecutionProvider"}
    assert "Gather" in {one["operator"] for one in placed}
    table = run("doctor", str(tiny))
    assert table.code == 0
    assert "Gather" in table.out
    assert "nothing is wrong" in table.out


@pytest.mark.parametrize("arguments", [(), ("MODEL",)])
def test_a_device_that_is_not_there_is_a_problem(run: Run, tiny: Path, arguments: tuple[str, ...]) -> None:
    model = [str(tiny) for _ in arguments]
    ended = run("doctor", *model, "--device", "cuda", "--json")
    assert ended.code == 1
    (problem,) = json.loads(ended.out)["problems"]
    assert "CUDAExecutionProvider was asked for, but this ONNX Runtime" in problem
    assert "embedrt[gpu]" in problem
    assert run("doctor", *model, "--device", "cuda").out.count("problem: CUDAExecutionProvider") == 1


def test_two_packages_are_a_problem(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.32.0"}
    monkeypatch.setattr("embedrt.cli.doctor.onnxruntime_packages", lambda: both)
    ended = run("doctor")
    assert ended.code == 1
    assert "overwritten each other's files" in ended.out
