"""The bench's side of an engine: a subprocess that runs ``worker.py``, behind the few calls that scenarios need."""

import json
import os
import select
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from embedrt.errors import EmbedrtError

__all__ = ["TAIL", "Engine", "EngineError", "EngineProcess", "thread_environment"]

Vectors = npt.NDArray[np.float32]
_WORKER = Path(__file__).resolve().with_name("worker.py")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
TAIL = 1500  # characters of stderr that a message shows
_PATIENCE = 3600.0
"""Seconds that a request may take: many times what any does, but a run ends although an engine hangs."""


class EngineError(EmbedrtError):
    """An engine did not load, failed, or ended; ``name`` says which."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name, self.reason = name, reason


class Engine(Protocol):
    """What a scenario needs of a system; all times are taken on its side."""

    @property
    def name(self) -> str:
        """As result files call it."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors (texts, dim), in the order of the texts."""
        ...

    def time(self, texts: Sequence[str]) -> float:
        """Seconds for all texts in one call."""
        ...

    def stream(self, texts: Sequence[str]) -> list[float]:
        """Seconds of each text, one call a text."""
        ...

    def serve(self, arrivals: Sequence[tuple[float, str]]) -> list[float]:
        """Seconds from arrival to vector of each (offset in seconds, text)."""
        ...

    def resident(self) -> int:
        """Bytes of memory that its process holds now."""
        ...


class EngineProcess:
    """One engine in its own process; the process starts at once, the model loads with :meth:`load` or :meth:`cold_start`."""

    def __init__(
        self, name: str, loader: str, settings: Mapping[str, Any], *, python: Path, threads: int, own: bool = True
    ) -> None:
        """``own``: it is the bench's environment, so PYTHONPATH is meant for it; a peer's must not see it."""
        self._name = name
        self._noise = tempfile.TemporaryFile()  # noqa: SIM115  closed by close(); a pipe that nobody reads would stop a talkative library
        options = ["--settings", json.dumps(settings), "--threads", str(threads)]
        command = [str(python), "-P", str(_WORKER), loader, *options]
        environment = {**os.environ, **thread_environment(threads)}
        if not own:
            environment.pop("PYTHONPATH", None)
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._noise, env=environment, encoding="utf-8",
                errors="replace",
            )  # fmt: skip
        except OSError as missing:
            self._noise.close()
            raise EngineError(name, f"its interpreter cannot be started: {missing}") from missing

    @property
    def name(self) -> str:
        """See :class:`Engine`."""
        return self._name

    def load(self) -> dict[str, str]:
        """Load the model; the settings to record."""
        settings: dict[str, str] = self._ask("load")["settings"]
        return settings

    def cold_start(self, text: str) -> tuple[float, int]:
        """Seconds from the first line of the program to the first vector, and peak memory in bytes."""
        found = self._ask("cold_start", text=text)
        return found["seconds"], found["peak"]

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See :class:`Engine`."""
        with tempfile.TemporaryDirectory() as place:
            out = Path(place) / "vectors.npy"
            self._ask("encode", texts=list(texts), out=str(out))
            vectors: Vectors = np.load(out)
        return vectors

    def time(self, texts: Sequence[str]) -> float:
        """See :class:`Engine`."""
        return float(self._ask("time", texts=list(texts)))

    def stream(self, texts: Sequence[str]) -> list[float]:
        """See :class:`Engine`."""
        return list(self._ask("stream", texts=list(texts)))

    def serve(self, arrivals: Sequence[tuple[float, str]]) -> list[float]:
        """See :class:`Engine`."""
        return list(self._ask("serve", arrivals=list(arrivals)))

    def resident(self) -> int:
        """See :class:`Engine`."""
        return int(self._ask("memory")["resident"])

    def close(self) -> None:
        """End the process: politely, and if it does not listen, at once."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not stream.closed:
                try:
                    stream.close()
                except BrokenPipeError:  # it ended before it had read everything
                    continue
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._noise.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, what: str, **arguments: Any) -> Any:
        line = self._exchange(json.dumps({"do": what, **arguments}), what)
        if not line:
            code = self._process.wait()
            raise EngineError(self._name, f"its process ended with status {code} at {what!r}: {self._last_words()}")
        answer = self._parsed(line, what)
        if "error" in answer:
            raise EngineError(self._name, f"{what!r} failed: {answer['error']}")
        return answer["ok"]

    def _parsed(self, line: str, what: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError as junk:
            raise EngineError(self._name, f"at {what!r} its interpreter printed {line[:80]!r}, not an answer") from junk
        return answer

    def _exchange(self, line: str, what: str) -> str:
        if self._process.stdin is None or self._process.stdout is None:
            raise EngineError(self._name, "its process has no pipes")
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return ""
        if not select.select([self._process.stdout], [], [], _PATIENCE)[0]:
            raise EngineError(self._name, f"it gave no answer to {what!r} within {_PATIENCE:g} s")
        return self._process.stdout.readline()

    def _last_words(self) -> str:
        size = self._noise.seek(0, os.SEEK_END)
        self._noise.seek(max(0, size - TAIL))
        return self._noise.read().decode("utf-8", errors="replace").strip() or "nothing on stderr"


def thread_environment(threads: int) -> dict[str, str]:
    """The variables that hand a thread budget to OpenMP, MKL, OpenBLAS and tokenizers, and keep model hubs out.

    >>> thread_environment(2)["RAYON_NUM_THREADS"]
    '2'
    """
    return {
        **dict.fromkeys(_THREAD_VARIABLES, str(threads)),
        "TOKENIZERS_PARALLELISM": "true",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }
