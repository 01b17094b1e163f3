"""Engines in this process that only keep a record, for scenarios; and a made-up result. No test here measures a time."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Log = list[tuple[str, str, int]]


class Recorder:
    """An engine that notes its calls, (its name, the call, texts), in a log that several share."""

    def __init__(
        self, name: str, log: Log, *, seconds: float = 0.5, vectors: Any = None, resident: Sequence[int] = (1,)
    ) -> None:
        self.name = name
        self._log, self._seconds, self._vectors, self._resident = log, seconds, vectors, list(resident)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self._log.append((self.name, "encode", len(texts)))
        if self._vectors is None:
            return np.ones((len(texts), 3), dtype=np.float32)
        return np.asarray([self._vectors[text] for text in texts], dtype=np.float32)

    def time(self, texts: Sequence[str]) -> float:
        self._log.append((self.name, "time", len(texts)))
        return self._seconds

    def stream(self, texts: Sequence[str]) -> list[float]:
        self._log.append((self.name, "stream", len(texts)))
        return [self._seconds * (index + 1) for index in range(len(texts))]

    def serve(self, arrivals: Sequence[tuple[float, str]]) -> list[float]:
        self._log.append((self.name, "serve", len(arrivals)))
        rate = len(arrivals) / arrivals[-1][0]
        return [self._seconds * rate] * len(arrivals)

    def resident(self) -> int:
        return self._resident.pop(0)


@pytest.fixture(scope="session")
def recorder() -> Callable[..., Recorder]:
    return Recorder


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedrt_bench.scenarios.turns.sleep", lambda seconds: None)


@pytest.fixture
def made_up() -> Path:
    """The result of a made-up run: every section, an engine that is not available, one whose soak is missing."""
    return Path(__file__).with_name("made_up_result.json")


@pytest.fixture
def result(made_up: Path) -> dict[str, Any]:
    """What is in it, anew for each test."""
    content: dict[str, Any] = json.loads(made_up.read_text(encoding="utf-8"))
    return content


@pytest.fixture
def bare(result: dict[str, Any]) -> dict[str, Any]:
    """The same without any section: on what it was measured, and who took part."""
    return {key: result[key] for key in ("format", "date", "machine", "settings", "engines")}
