"""Who is measured on a card: engines are opened, have to give the right vectors, and leave with a reason if they fail."""

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from embedrt_bench.engines.catalogue import REFERENCE
from embedrt_bench.engines.lineup import until_nobody_fails
from embedrt_bench.engines.peers import OWN, python_of
from embedrt_bench.engines.process import EngineError, EngineProcess
from embedrt_bench.engines.right_vectors import require_right_vectors

__all__ = ["FLASH", "GpuLineup", "engines_of", "why_no_flash_attention"]

FLASH = "sentence-transformers float16, FlashAttention"
_CLOSE = 0.99
"""Worst cosine to the reference that a 16-bit engine may show before its time counts."""
T = TypeVar("T")
Settings = Mapping[str, Any]


def engines_of(checkpoint: Path, artifact: Path, by_lengths: Path | None, *, device: str) -> dict[str, Settings]:
    """The options of each engine's loader, by the engine's name, whose first word is the loader's."""
    ours = {f"embedrt {variant}": {"artifact": str(artifact), "variant": variant} for variant in ("fp32", "fp16")}
    if by_lengths is not None:
        ours["embedrt fp16 by lengths"] = {"artifact": str(by_lengths), "variant": "fp16"}
    theirs = {
        f"sentence-transformers {dtype}": {"checkpoint": str(checkpoint), "dtype": dtype}
        for dtype in ("float32", "float16", "bfloat16")
    }
    if why_no_flash_attention(device) is None:
        theirs[FLASH] = {**theirs["sentence-transformers float16"], "attention": "flash_attention_2"}
    return {name: {**options, "device": device} for name, options in {**ours, **theirs}.items()}


def why_no_flash_attention(device: str) -> str | None:
    """Why that engine is not measured on ``device``; None where it is."""
    if not device.startswith("cuda"):
        return "it runs on a card only"
    return None if importlib.util.find_spec("flash_attn") else "the package flash_attn is not installed"


class GpuLineup:
    """The engines of one model, loaded, each in its process; leaving the context ends them all."""

    def __init__(self, engines: Mapping[str, Settings], *, threads: int) -> None:
        self._wanted, self._threads = engines, threads
        self._stack = ExitStack()
        self.running: list[EngineProcess] = []
        """Those that take part, in the order asked for."""
        self.settings: dict[str, dict[str, str]] = {}
        self.reasons: dict[str, str] = {}
        """Why each of the others does not."""

    def __enter__(self) -> "GpuLineup":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def open(self, check: Sequence[str]) -> None:
        """Load all; whoever fails, or gives other vectors for the texts ``check`` than the reference, leaves.

        Raises:
            EngineError: the reference cannot be loaded.
        """
        for name, options in self._wanted.items():
            self._or_out(lambda name=name, options=options: self._load(name, options))  # type: ignore[misc]
        reference = next((engine for engine in self.running if engine.name == REFERENCE), None)
        if reference is None:
            raise EngineError(REFERENCE, self.reasons.get(REFERENCE, "nothing else can be compared with it"))
        right = reference.encode(check)
        for engine in [*self.running]:
            self._or_out(lambda engine=engine: require_right_vectors(engine, check, right, _CLOSE))  # type: ignore[misc]

    def measure(self, scenario: Callable[[], T]) -> T:
        """What ``scenario`` gives; when an engine fails, it leaves and the scenario runs again without it."""
        return until_nobody_fails(scenario, self.settings, self._drop)

    def _load(self, name: str, options: Settings) -> None:
        process = EngineProcess(name, name.partition(" ")[0], options, python=python_of(OWN), threads=self._threads)
        self._stack.enter_context(process)
        self.settings[name] = process.load()
        self.running.append(process)

    def _or_out(self, step: Callable[[], None]) -> None:
        try:
            step()
        except EngineError as failed:
            self._drop(failed)

    def _drop(self, failed: EngineError) -> None:
        print(f"not measured: {failed}", file=sys.stderr)
        self.reasons[failed.name] = failed.reason
        self.settings.pop(failed.name, None)
        for engine in [*self.running]:
            if engine.name == failed.name:
                self.running.remove(engine)
                engine.close()
