"""Who takes part in a run: engines are opened, have to give the right vectors, and leave with a reason if they fail."""

import sys
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from embedrt_bench.engines.catalogue import REFERENCE, EngineSpec, open_engine, specification, why_unavailable
from embedrt_bench.engines.prepared import Prepared, Source
from embedrt_bench.engines.process import Engine, EngineError, EngineProcess
from embedrt_bench.engines.right_vectors import require_right_vectors
from tqdm import tqdm

__all__ = ["Lineup", "until_nobody_fails"]

T = TypeVar("T")
_FALLBACK = "embedrt fp32"
"""Compared with where the reference is not installed: its parity was verified when it was exported."""


def until_nobody_fails(
    scenario: Callable[[], T], taking_part: Collection[str], drop: Callable[[EngineError], None]
) -> T:
    """What ``scenario`` gives, which runs again after each engine that fails; ``drop`` takes it from those ``taking_part``.

    Raises:
        EngineError: of an engine that does not take part.
    """
    while True:
        try:
            return scenario()
        except EngineError as failed:
            if failed.name not in taking_part:
                raise
            drop(failed)


class Lineup:
    """The engines of one run, loaded, each in its process; leaving the context ends them all."""

    def __init__(self, names: Sequence[str], source: Source, prepared: Prepared, *, threads: int) -> None:
        self._specs = {name: specification(name) for name in names}
        self._source, self._prepared, self._threads = source, prepared, threads
        self._running: dict[str, EngineProcess] = {}
        self._settings: dict[str, dict[str, str]] = {}
        self._reasons: dict[str, str] = {}
        self._reference: EngineProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in {*self._running.values(), *filter(None, [self._reference])}:
            process.close()

    @property
    def running(self) -> list[Engine]:
        """Those that take part, in the order asked for."""
        return list(self._running.values())

    @property
    def names(self) -> list[str]:
        """Their names."""
        return list(self._running)

    @property
    def reference(self) -> EngineProcess:
        """The engine that vectors are compared with; it may be one that takes no part itself."""
        if self._reference is None:
            raise EngineError(REFERENCE, "nothing was opened yet")
        return self._reference

    def specs(self) -> list[EngineSpec]:
        """What is known of those that take part."""
        return [self._specs[name] for name in self._running]

    def open(self, check: Sequence[str]) -> None:
        """Load everything that is available; whoever gives wrong vectors for the texts ``check`` leaves.

        EngineError where not even the reference can be loaded.
        """
        self._reference = self._open_reference()
        right = self._reference.encode(check)
        for name, spec in tqdm(self._specs.items(), desc="loading", unit="engine", disable=None, leave=False):
            if (reason := why_unavailable(spec, self._source)) is not None:
                self._reasons[name] = reason
                continue
            try:
                process = self._reference if name == self._reference.name else self._loaded(spec)
                self._running[name] = process
                require_right_vectors(process, check, right, spec.smallest_cosine)
            except EngineError as failed:
                self.drop(failed)

    def start(self, name: str) -> EngineProcess:
        """A fresh process of an engine that takes part, not loaded."""
        return open_engine(self._specs[name], self._source, self._prepared, threads=self._threads)

    def measure(self, scenario: Callable[[], T]) -> T:
        """What ``scenario`` gives; when an engine fails, it leaves and the scenario runs again without it."""
        return until_nobody_fails(scenario, self._running, self.drop)

    def drop(self, failed: EngineError) -> None:
        """Take an engine out, with its reason, which is also said on stderr."""
        print(f"not measured: {failed}", file=sys.stderr)
        self._reasons[failed.name] = failed.reason
        process = self._running.pop(failed.name, None)
        if process is not None and process is not self._reference:
            process.close()

    def describe(self) -> dict[str, dict[str, Any]]:
        """The result's section ``engines``: settings of those that took part, reasons of the others."""
        return {
            name: {"available": False, "reason": self._reasons[name]}
            if name in self._reasons
            else {"available": True, "settings": self._settings[name], "environment": spec.environment}
            for name, spec in self._specs.items()
        }

    def _open_reference(self) -> EngineProcess:
        wanted = specification(REFERENCE)
        spec = wanted if why_unavailable(wanted, self._source) is None else specification(_FALLBACK)
        return self._loaded(spec)

    def _loaded(self, spec: EngineSpec) -> EngineProcess:
        process = open_engine(spec, self._source, self._prepared, threads=self._threads)
        try:
            self._settings[spec.name] = process.load()
        except BaseException:
            process.close()
            raise
        return process
