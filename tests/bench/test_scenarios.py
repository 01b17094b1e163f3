"""Scenarios on engines that only keep a record: the order of the runs, and refusing a wrong answer. No times."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from embedrt_bench.scenarios import cold_start, offline, require_agreement, single_stream


class Recorder:
    """An engine that notes its calls in a log that several share."""

    def __init__(
        self, name: str, log: list[tuple[str, int]], *, vectors: npt.NDArray[np.float32] | None = None
    ) -> None:
        self.name = name
        self.settings = {"threads": "1"}
        self._log = log
        self._vectors = vectors

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self._log.append((self.name, len(texts)))
        return np.ones((len(texts), 3), dtype=np.float32) if self._vectors is None else self._vectors


def engines(log: list[tuple[str, int]]) -> list[Recorder]:
    return [Recorder(name, log) for name in ("a", "b")]


def test_offline_takes_turns() -> None:
    log: list[tuple[str, int]] = []
    speed = offline(engines(log), ["text"] * 700, rounds=3)
    assert log == [("a", 600), ("b", 600)] + [("a", 700), ("b", 700)] * 3  # the first two warm up
    assert list(speed) == ["a", "b"]
    for measured in speed.values():
        assert len(measured["runs"]) == 3
        assert measured["median"] == sorted(measured["runs"])[1] > 0


def test_single_stream_takes_turns() -> None:
    log: list[tuple[str, int]] = []
    times = single_stream(engines(log), "text", rounds=2, repeats=4)
    turn = [("a", 1)] * 4 + [("b", 1)] * 4
    assert log == turn * 3  # the first turn warms up
    for measured in times.values():
        assert list(measured) == ["p50", "p90", "p99"]
        assert 0 < measured["p50"] <= measured["p90"] <= measured["p99"]


RIGHT = np.array([[1, 0], [0, 2]], dtype=np.float32)


def agreement(other: list[list[float]]) -> float:
    pair = [Recorder("a", [], vectors=RIGHT), Recorder("b", [], vectors=np.array(other, dtype=np.float32))]
    return require_agreement(pair, ["x", "y"])


def test_agreement_is_the_smallest_cosine() -> None:
    assert agreement([[3, 0], [0.01, 1]]) == pytest.approx(1 / np.sqrt(1.0001), abs=1e-6)


@pytest.mark.parametrize("other", [[[1, 0], [0.1, 1]], [[0, 1], [1, 0]], [[1, 0], [0, np.nan]]])
def test_disagreement_stops_the_bench(other: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=r"the engines disagree: smallest cosine .*, at least 0\.9999 is expected"):
        agreement(other)


_MODEL = """
print("words that a library prints")
open({log!r}, "a").write({name!r})
first_run = open({log!r}).read().count({name!r}) == 1
ballast = b"x" * ({size} if first_run else 1)
class Model:
    def encode(self, text):
        return len(text)
model = Model()
"""


def test_cold_start(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    sizes = {"s": 1, "l": 200_000_000}
    programs = {name: _MODEL.format(log=log, name=name, size=size) for name, size in sizes.items()}
    starts = cold_start(programs, rounds=2)
    assert Path(log).read_text(encoding="ascii") == "slsl"
    for start in starts.values():
        assert len(start.seconds) == 2
        assert min(start.seconds) > 0
    difference = starts["l"].peak_megabytes - starts["s"].peak_megabytes
    assert difference == pytest.approx(200, abs=3)
    assert starts["s"].peak_megabytes > 5  # an interpreter


def test_cold_start_of_a_program_that_fails() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        cold_start({"broken": "raise SystemExit(3)"}, rounds=1)
