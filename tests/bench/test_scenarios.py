"""Scenarios on engines that only keep a record: the order of turns, what is computed from times, refusing wrong answers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedrt_bench.engines.process import EngineError
from embedrt_bench.engines.right_vectors import require_right_vectors
from embedrt_bench.scenarios.cold_start import cold_start
from embedrt_bench.scenarios.offline import offline
from embedrt_bench.scenarios.quality import quality
from embedrt_bench.scenarios.server import highest_rate, poisson_arrivals, server
from embedrt_bench.scenarios.single_stream import single_stream
from embedrt_bench.scenarios.soak import soak
from embedrt_bench.scenarios.turns import take_turns

Recorders = Callable[..., Any]


def test_engines_take_turns_with_a_pause_before_each(recorder: Recorders, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[Any] = []
    monkeypatch.setattr("embedrt_bench.scenarios.turns.sleep", log.append)
    for engine in take_turns([recorder(name, log) for name in "abc"], 2, "title"):
        engine.time([])
    assert log == [entry for name in "abcabc" for entry in (0.4, (name, "time", 0))]


def test_offline(recorder: Recorders) -> None:
    log: list[Any] = []
    engines = [recorder("a", log, seconds=0.5), recorder("b", log, seconds=2.0)]
    found = offline(engines, ["text"] * 700, tokens=2800, rounds=3, title="STS")
    assert log == [
        ("a", "time", 600),
        ("b", "time", 600),
        *[("a", "time", 700), ("b", "time", 700)] * 3,
    ]  # warm-up first
    assert found == {
        "a": {"texts_per_second": {"median": 1400.0, "runs": [1400.0] * 3}, "tokens_per_second": 5600.0},
        "b": {"texts_per_second": {"median": 350.0, "runs": [350.0] * 3}, "tokens_per_second": 1400.0},
    }


def test_single_stream(recorder: Recorders) -> None:
    log: list[Any] = []
    engines = [recorder(name, log, seconds=0.001) for name in "ab"]
    found = single_stream(engines, ["text"] * 50, rounds=2, title="one text", seconds=0.001)
    assert log == [("a", "stream", 50), ("b", "stream", 50)] * 3  # the first turn warms up
    assert found["a"] == {"p50": 25.0, "p90": 45.0, "p99": 50.0, "runs": [25.5, 25.5]}  # of 1 to 50 milliseconds, twice


def test_single_texts_are_repeated_for_a_while(recorder: Recorders) -> None:
    log: list[Any] = []
    single_stream([recorder("a", log, seconds=0.001)], ["text"] * 50, rounds=1, title="one text", seconds=3.0)
    assert log == [("a", "stream", 50)] * 4  # the warm-up, and three times 1.275 seconds


@pytest.mark.parametrize(("rounds", "calls"), [(1, 5), (3, 2), (5, 1), (9, 1)])
def test_no_p99_of_fewer_than_a_hundred_times(recorder: Recorders, rounds: int, calls: int) -> None:
    """However slow an engine is: each call takes longer than a turn should."""
    log: list[Any] = []
    single_stream([recorder("a", log, seconds=1.0)], ["text"] * 20, rounds=rounds, title="one text", seconds=1.0)
    assert len(log) == 1 + rounds * calls


@pytest.mark.parametrize(("slow", "holds"), [(1, True), (2, False)])
def test_p99_is_what_99_of_100_stay_within(
    recorder: Recorders, monkeypatch: pytest.MonkeyPatch, slow: int, holds: bool
) -> None:
    """One pause of 10 s among 100 requests leaves 99 within the bound; two do not, and no value between ranks says otherwise."""

    def serve(arrivals: Sequence[tuple[float, str]]) -> list[float]:
        return [10.0] * slow + [0.049] * (len(arrivals) - slow)

    engine = recorder("a", [])
    monkeypatch.setattr(engine, "serve", serve)
    found = server([engine], ["x"], bound=50, seed=0, seconds=0.5, halvings=0)["a"]
    assert (found["requests_per_second"] > 0) is holds
    assert found["p99_milliseconds"] == (49 if holds else 10_000)


def test_arrivals_are_poisson_and_the_same_for_the_same_seed() -> None:
    texts = ["a", "b", "c"]
    arrivals = poisson_arrivals(texts, 50.0, count=20_000, seed=3)
    assert arrivals == poisson_arrivals(texts, 50.0, count=20_000, seed=3)
    assert arrivals[:10] != poisson_arrivals(texts, 50.0, count=10, seed=4)
    gaps = np.diff([0.0, *(offset for offset, _ in arrivals)])
    assert gaps.min() > 0
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.03)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.03)  # an exponential distribution's equals its mean
    assert (gaps > 2 / 50).mean() == pytest.approx(np.exp(-2), abs=0.01)
    counts = {text: sum(found == text for _, found in arrivals) for text in texts}
    assert all(count == pytest.approx(20_000 / 3, rel=0.05) for count in counts.values())


def test_requests_that_wait_together_differ() -> None:
    texts = [str(number) for number in range(100)]
    arrivals = [text for _, text in poisson_arrivals(texts, 50.0, count=250, seed=0)]
    assert sorted(arrivals[:100]) == sorted(arrivals[100:200]) == sorted(texts)
    assert arrivals[:100] != texts


def test_search_for_the_highest_rate() -> None:
    rate, tried = highest_rate(lambda rate: rate / 2, bound=50, halvings=6)  # 100 a second would be exact
    rates = list(dict.fromkeys(one for one, _ in tried))
    assert rates[:5] == [8, 16, 32, 64, 128]
    assert rates[5:7] == pytest.approx([(64 * 128) ** 0.5, (90.51 * 128) ** 0.5], rel=1e-3)
    assert len(rates) == 11
    assert 100 * 0.98 < rate <= 100
    assert all(found == one / 2 for one, found in tried)


@pytest.mark.parametrize(("bound", "expected"), [(1, [[8, 4], [8, 4]]), (4, [[8, 4], [16, 8], [16, 8]])])
def test_search_that_ends_early(bound: float, expected: list[list[float]]) -> None:
    rate, tried = highest_rate(lambda rate: rate / 2, bound=bound, halvings=0)
    assert (rate, tried) == (0 if bound == 1 else 8, expected)


def test_a_rate_has_two_chances() -> None:
    pauses = iter([1000.0, 4.0, 1000.0, 1000.0])
    rate, tried = highest_rate(lambda _rate: next(pauses), bound=50, halvings=0)
    assert (rate, tried) == (8, [[8, 1000.0], [8, 4.0], [16, 1000.0], [16, 1000.0]])


def test_search_has_an_end() -> None:
    rate, tried = highest_rate(lambda rate: 0.0, bound=1, halvings=0)
    assert (rate, len(tried)) == (65536, 14)


def test_server(recorder: Recorders) -> None:
    log: list[Any] = []
    engines = [recorder("a", log, seconds=0.001), recorder("b", log, seconds=1.0)]
    found = server(engines, ["x", "y"], bound=50, seed=0, seconds=0.5, halvings=2)
    assert 16 <= found["a"]["requests_per_second"] <= 64  # p99 in milliseconds is about the rate
    assert found["a"]["p99_milliseconds"] <= 50
    assert found["a"]["p99_milliseconds"] in [p99 for _, p99 in found["a"]["tried"]]
    assert max(rate for rate, p99 in found["a"]["tried"] if p99 <= 50) == found["a"]["requests_per_second"]
    assert found["b"]["requests_per_second"] == 0  # even the first rate is too much
    assert len(found["b"]["tried"]) == 2
    assert found["b"]["p99_milliseconds"] == found["b"]["tried"][0][1]
    assert min(texts for _, what, texts in log if what == "serve") >= 100


def test_soak(recorder: Recorders) -> None:
    log: list[Any] = []
    engine = recorder("a", log, resident=[100_000_000, 120_000_000])
    found = soak([engine], ["text"] * 700, count=1200, seconds=60.0)
    assert [texts for _, _, texts in log] == [500, 200, 500, 500, 200]  # all of them once, then 1200
    assert found == {"a": {"texts": 1200, "megabytes_after_warm_up": 100.0, "megabytes_after": 120.0}}


def test_a_soak_ends_with_its_time(recorder: Recorders) -> None:
    engine = recorder("a", [], resident=[100_000_000, 120_000_000], seconds=0.5)
    found = soak([engine], ["text"] * 500, count=10**6, seconds=1.2)
    assert found["a"]["texts"] == 1500  # half a second a call


class Fresh:
    """A process that was just started."""

    def __init__(self, name: str, log: list[str]) -> None:
        self._name, self._log = name, log

    def __enter__(self) -> "Fresh":
        return self

    def __exit__(self, *_: object) -> None:
        self._log.append(f"{self._name} ends")

    def cold_start(self, text: str) -> tuple[float, int]:
        self._log.append(self._name)
        return float(len(self._log)), len(self._log) * 1_000_000


def test_cold_start() -> None:
    log: list[str] = []
    found = cold_start(["a", "b"], lambda name: Fresh(name, log), rounds=3)  # type: ignore[arg-type, return-value]
    assert log == ["a", "a ends", "b", "b ends"] * 3
    assert found["a"] == {"seconds": {"median": 5.0, "runs": [1.0, 5.0, 9.0]}, "peak_megabytes": 9.0}


RIGHT = np.array([[1, 0], [0, 2]], dtype=np.float32)


def check(recorder: Recorders, other: list[list[float]], smallest: float | None) -> None:
    require_right_vectors(recorder("b", [], vectors=dict(zip("xy", other))), ["x", "y"], RIGHT, smallest)


def test_right_vectors_pass(recorder: Recorders) -> None:
    check(recorder, [[3, 0], [0.01, 1]], 0.9999)
    check(recorder, [[0, 1], [1, 0]], None)
    check(recorder, [[0, 1, 3], [1, 0, 3]], None)  # of another width, even


@pytest.mark.parametrize(
    ("other", "smallest", "message"),
    [
        (
            [[1, 0], [0.1, 1]],
            0.9999,
            "its vectors are not the model's: smallest cosine 0.99504, at least 0.9999 is expected",
        ),
        ([[0, 1], [1, 0]], 0.8, "smallest cosine 0.00000, at least 0.8"),
        ([[1, 0], [0, np.nan]], None, "2 texts gave 2 vectors, or some are not finite"),
        ([[1, 0, 0], [0, 1, 0]], 0.8, r"its vectors have the shape \(2, 3\), the reference's \(2, 2\)"),
    ],
)
def test_wrong_vectors_stop_the_engine(
    recorder: Recorders, other: list[list[float]], smallest: float | None, message: str
) -> None:
    with pytest.raises(EngineError, match=f"^b: .*{message}") as failed:
        check(recorder, other, smallest)
    assert failed.value.name == "b"


def test_quality_is_cosine_to_the_reference(recorder: Recorders) -> None:
    log: list[Any] = []
    first = recorder("a", log, vectors={"x": [1, 0], "y": [0, 2]})
    other = recorder("b", log, vectors={"x": [1, 1], "y": [0, 5]})
    found = quality([first, other], ["x", "y"], reference=first)
    assert found["a"] == {"cosine_mean": 1.0, "cosine_min": 1.0, "texts": 2}
    assert found["b"]["cosine_mean"] == pytest.approx((1 + 0.5**0.5) / 2, abs=1e-7)
    assert found["b"]["cosine_min"] == pytest.approx(0.5**0.5, abs=1e-7)


def test_quality_with_sts(recorder: Recorders, tmp_path: Path) -> None:
    """Angles as texts: the nearer, the higher the gold score in 2012; the other way round in 2013."""
    (tmp_path / "sts-en").mkdir()
    angles = ["0.1", "0.9", "0.4", "0.2"]
    for year, gold in ((2012, [4, 1, 2, 3]), (2013, [1, 4, 3, 2]), (2014, [4, 1, 2, 3])):
        lines = [f"{score}\t0\t{angle}\n" for score, angle in zip(gold, angles)]
        (tmp_path / f"sts-en/{year}.a.test.tsv").write_text("".join(lines), encoding="utf-8")
    rows = [f"a\tb\tc\td\t{score}\t0\t{angle}\n" for score, angle in zip([4, 1, 2, 3], angles)]
    for split in ("train", "dev", "test"):
        (tmp_path / f"sts-en/stsb-{split}.csv").write_text("".join(rows), encoding="utf-8")
    vectors = {angle: [np.cos(float(angle)), np.sin(float(angle))] for angle in ("0", *angles)}
    log: list[Any] = []
    engine = recorder("a", log, vectors=vectors)
    found = quality([engine], ["not one of them"], reference=engine, sts=tmp_path)["a"]
    assert found["sts"] == pytest.approx({"STS12": 100.0, "STS13": -100.0, "STS14": 100.0, "STSb test": 100.0})
    assert found["sts_mean"] == pytest.approx(50.0)
    assert found["texts"] == 5
    assert log == [("a", "encode", 5)]  # every text once, and the reference is not asked twice
