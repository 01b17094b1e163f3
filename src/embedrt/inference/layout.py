"""How a graph runs on this machine: threads, workers, tokens a run; the defaults, and what ``embedrt tune`` found.

What tune finds is kept in a small file of the user's cache, named by the graph and by the machine (processor, threads, ONNX
Runtime version): on another machine, or with another runtime, the defaults hold again. No layout changes which text gets
which vector.
"""

import dataclasses
import hashlib
import json
import os
import platform
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embedrt.errors import InputError, UnavailableError
from embedrt.inference.devices import Device
from embedrt.machine.processor import processor_fields
from embedrt.machine.threads import available_threads, physical_cores

__all__ = ["Layout", "default_layout", "layout_for", "prepare_tuned", "read_tuned", "tuned_path", "write_tuned"]

_CPU = Device("cpu")
_TOKEN_BUDGET = {"cpu": 512, "cuda": 16384}
_IN_FLIGHT = 2
"""Runs at a time on a card: while one computes, the inputs of the next are copied and its kernels are launched."""
_CARDS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a graph runs."""

    latency_threads: int
    """Threads that share each matrix product of a few texts."""
    workers: int
    """One-thread workers that share a corpus; on a card, runs that are in flight."""
    token_budget: int
    """Tokens in one run."""
    fusions: bool = False
    """Whether ONNX Runtime fuses Add + LayerNormalization and Add + Gelu; that is slower on every CPU measured so far."""

    def __post_init__(self) -> None:
        """Refuse what cannot run; numpy's whole numbers become Python's, which ONNX Runtime and JSON ask for."""
        for name in ("latency_threads", "workers", "token_budget"):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name} is {value!r}, expected a whole number of at least 1")
            object.__setattr__(self, name, int(value))


def default_layout(threads: int | None = None, *, kind: str = "cpu") -> Layout:
    """The layout without measurement: a thread a physical core for one text, and a worker a processor for many.

    ``threads`` is for both of them, where it is given. On a card (``kind`` is ``cuda``) two runs are in flight.
    """
    available = threads or available_threads()
    return Layout(
        latency_threads=threads or min(available, physical_cores()),
        workers=available if kind == "cpu" else _IN_FLIGHT,
        token_budget=_TOKEN_BUDGET[kind],
    )


def layout_for(graph_sha256: str | None, runtime: str, *, threads: int | None, device: Device = _CPU) -> Layout:
    """What tune found for this graph here, else the default; a number of threads that the caller names goes first.

    Args:
        graph_sha256: of the graph's file; None where no manifest tells it.
        runtime: version of ONNX Runtime.
        threads: the caller's wish.
        device: where the graph runs.
    """
    default = default_layout(threads, kind=device.kind)
    if graph_sha256 is None:
        return default
    try:
        tuned = read_tuned(tuned_path(graph_sha256, runtime, device=device))
    except UnavailableError:
        tuned = None
    if tuned is None or threads is None:
        return tuned or default
    workers = threads if device.kind == "cpu" else tuned.workers
    return dataclasses.replace(tuned, latency_threads=threads, workers=workers)


def tuned_path(graph_sha256: str, runtime: str, *, device: Device = _CPU, folder: Path | None = None) -> Path:
    """The file for a graph on a device of this machine; ``folder`` is ``$EMBEDRT_CACHE``, else ``~/.cache/embedrt``.

    Raises:
        UnavailableError: neither is known.
    """
    machine = f"{_processor()}|{available_threads()}|{runtime}"
    if device.kind != "cpu":
        machine += f"|{_card(device.index)}"
    name = hashlib.sha256(machine.encode()).hexdigest()[:16]
    return (folder or _folder()) / "tuned" / f"{graph_sha256[:16]}-{name}.json"


def prepare_tuned(path: Path) -> None:
    """Make the folder of ``path``, so that nothing is measured that cannot be kept.

    Raises:
        UnavailableError: nothing can be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError
    except OSError as error:
        raise UnavailableError(
            f"{path.parent} cannot be written to, where the result would be kept: set EMBEDRT_CACHE to a folder that can"
        ) from error


def write_tuned(path: Path, layout: Layout) -> None:
    """Keep ``layout`` for the next encoders; whole or not at all.

    Raises:
        UnavailableError: nothing can be written there.
    """
    prepare_tuned(path)
    content = {"processor": _processor(), "layout": dataclasses.asdict(layout)}
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def read_tuned(path: Path) -> Layout | None:
    """What :func:`write_tuned` kept; None, with a warning where there is a file that says something else."""
    try:
        if not path.is_file():
            return None
    except OSError:  # a folder that this user may not look into, which Python 3.14 takes for none
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Layout(**content["layout"])
    except (OSError, ValueError, KeyError, TypeError, InputError) as error:
        warnings.warn(f"{path} is not used ({error}): type embedrt tune to write it again", stacklevel=2)
        return None


def _folder() -> Path:
    named = os.environ.get("EMBEDRT_CACHE")
    try:
        return Path(named) if named else Path.home() / ".cache" / "embedrt"
    except RuntimeError as error:
        raise UnavailableError("no home folder is known to keep what was tuned in: set EMBEDRT_CACHE to one") from error


def _card(index: int) -> str:
    """The model of a card, in the driver's words; cards in the order of their places on the bus."""
    cards = sorted(_CARDS.glob("*/information"))
    if index >= len(cards):
        return f"card {index}"
    lines = cards[index].read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in lines if line.startswith("Model")), f"card {index}")


def _processor() -> str:
    """Model name and instructions of the first processor, in the kernel's words."""
    names = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features", "CPU part")
    fields = processor_fields()
    known = [f"{name} : {fields[name]}" for name in names if name in fields]
    return "; ".join(known) or f"{platform.machine()} {platform.processor()}"
