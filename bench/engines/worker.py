"""The process that one engine lives in: ``python -P worker.py LOADER --settings JSON --threads N``.

A line of JSON on stdin asks, a line of JSON on stdout answers: ``{"ok": …}``, or ``{"error": "…"}`` with what went wrong.
Nothing else can reach that stdout: what libraries print goes to stderr, from C code too. Self-contained, because it also
runs in the environments of peers: the standard library, numpy, and ``loaders.py`` beside this file. Times are taken in
here, so that the pipe is not part of them; the process ends when its stdin does.
"""

import time

_STARTED = time.perf_counter()  # before any other import: cold starts are counted from here

import argparse  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import runpy  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from itertools import pairwise  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

_LARGEST_BATCH = 64
"""Requests that a server encodes together, at most."""


class Worker:
    """One engine and what can be asked of it; every public method is a request of the protocol."""

    def __init__(self, loader: str, settings: dict[str, Any], threads: int) -> None:
        self._loader, self._settings, self._threads = loader, settings, threads
        self._encode: Callable[[list[str]], Any] | None = None

    def load(self) -> dict[str, Any]:
        """Import the libraries, load the model: its settings, and the seconds that took."""
        began = time.perf_counter()
        loaders = runpy.run_path(str(Path(__file__).with_name("loaders.py")))["LOADERS"]
        self._encode, described = loaders[self._loader](**self._settings, threads=self._threads)
        seconds = time.perf_counter() - began
        return {"settings": {"threads": str(self._threads), **described}, "seconds": seconds}

    def cold_start(self, text: str) -> dict[str, Any]:
        """Load and encode one text: seconds since the first line of this program, peak memory in bytes."""
        settings = self.load()["settings"]
        vectors = self._vectors([text])
        seconds, peak = time.perf_counter() - _STARTED, self.memory()["peak"]
        _require_finite(vectors)
        return {"settings": settings, "seconds": seconds, "peak": peak}

    def encode(self, texts: list[str], out: str) -> dict[str, Any]:
        """Write the vectors, float32 (texts, dim), as a .npy file to ``out``."""
        vectors = np.asarray(self._vectors(texts), dtype=np.float32)
        _require_finite(vectors)
        with Path(out).open("wb") as file:
            np.save(file, vectors)
        return {"shape": list(vectors.shape)}

    def time(self, texts: list[str]) -> float:
        """Seconds that one call with all texts takes."""
        gc.collect()
        began = time.perf_counter()
        vectors = self._vectors(texts)
        seconds = time.perf_counter() - began
        _require_finite(vectors)
        return seconds

    def stream(self, texts: list[str]) -> list[float]:
        """Seconds of each text, one call a text."""
        gc.collect()
        vectors, stamps = [], [time.perf_counter()]
        for text in texts:
            vectors.append(self._vectors([text]))
            stamps.append(time.perf_counter())
        _require_finite(vectors)
        return [after - before for before, after in pairwise(stamps)]

    def serve(self, arrivals: list[tuple[float, str]]) -> list[float]:
        """Seconds from arrival to vector of each request, (offset in seconds, text), in the order given.

        One queue: whenever the engine is free it encodes all that wait together, 64 at most.
        """
        gc.collect()
        began = time.perf_counter()
        latencies: list[float] = []
        while len(latencies) < len(arrivals):
            now, at = time.perf_counter() - began, len(latencies)
            waiting = [text for offset, text in arrivals[at : at + _LARGEST_BATCH] if offset <= now]
            if not waiting:
                time.sleep(arrivals[at][0] - now)
                continue
            self._vectors(waiting)
            done = time.perf_counter() - began
            latencies += [done - offset for offset, _ in arrivals[at : at + len(waiting)]]
        return latencies

    def memory(self) -> dict[str, int]:
        """Bytes of this process: resident now, and at the most so far (ru_maxrss would count the parent's pages)."""
        gc.collect()
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return {name: int(fields[key].split()[0]) * 1024 for name, key in (("resident", "VmRSS"), ("peak", "VmHWM"))}

    def _vectors(self, texts: list[str]) -> Any:
        if self._encode is None:
            raise RuntimeError("ask for load first")
        vectors = self._encode(texts)
        if len(vectors) != len(texts):
            raise ValueError(f"{len(texts)} texts gave {len(vectors)} vectors")
        return vectors


def _require_finite(vectors: Any) -> None:
    """Once the clock has stopped: a time counts only for vectors."""
    if not np.isfinite(vectors).all():
        raise ValueError("some vectors are not finite")


_REQUESTS = ("load", "cold_start", "encode", "time", "stream", "serve", "memory")


def _answer(worker: Worker, line: str) -> dict[str, Any]:
    try:
        request = json.loads(line)
        requests = {name: getattr(worker, name) for name in _REQUESTS}
        return {"ok": requests[request.pop("do")](**request)}
    except Exception as error:  # noqa: BLE001  whatever a foreign library raises is an answer
        return {"error": f"{type(error).__name__}: {error}"}


def _own_stdout() -> Any:
    """The stream to the other side; from here on, file 1 is stderr for everything in this process."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return channel


def _limit_processors(count: int) -> None:
    """No library, whatever it believes about the machine, gets more processors than the budget."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:count]))


def main() -> None:
    """Answer until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loader")
    parser.add_argument("--settings", type=json.loads, default={})
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    channel = _own_stdout()
    _limit_processors(options.threads)
    worker = Worker(options.loader, options.settings, options.threads)
    for line in sys.stdin:
        channel.write(json.dumps(_answer(worker, line)) + "\n")


if __name__ == "__main__":
    main()
