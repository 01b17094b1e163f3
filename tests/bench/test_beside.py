"""Encoders beside each other: whose turn it is, and what of it counts."""

import pytest
from embedrt_bench.kinds import beside
from embedrt_bench.kinds.beside import interleaved


def test_turns_alternate_and_the_first_rounds_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "PAUSE", 0)
    clock = iter(range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    called: list[str] = []
    runs = {name: (lambda name=name: called.append(name)) for name in "ab"}
    found = interleaved(runs, rounds=3, title="", warm_up=2, repeats=2)
    assert called == ["a", "a", "b", "b"] * 5
    assert found == {"a": [0.5] * 3, "b": [0.5] * 3}  # a second a turn, of two calls
