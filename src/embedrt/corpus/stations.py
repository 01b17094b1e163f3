"""Encoders at work on pieces of a corpus: one in this process, or one in a process of its own for each of several devices."""

import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from embedrt.corpus.sources import Piece
from embedrt.corpus.writing import write_vectors
from embedrt.encoder import SentenceEncoder
from embedrt.encoding import Request
from embedrt.errors import InputError, JobError
from embedrt.in_role import in_role
from embedrt.inference.session import parse_device
from embedrt.machine.threads import available_threads
from embedrt.progress import Advance

__all__ = ["EncodeOptions", "Station", "through_stations"]

Work = Callable[[Piece, Path], None]
_AT_A_TIME = 2
"""Pieces that each device has: while one ends, the other is begun."""
_SLICE = 4096
"""Texts that are tokenized before the next look at whether to stop; while they are encoded, each batch looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """The model, and how it encodes; what :class:`embedrt.SentenceEncoder` takes."""

    model: str
    variant: str | None = None
    revision: str | None = None
    threads: int | None = None
    batch_size: int | None = None
    role: Literal["query", "document"] | None = None
    prompt_name: str | None = None
    prompt: str | None = None
    precision: Literal["float32", "binary", "ubinary"] = "float32"
    normalize_embeddings: bool | None = None
    truncate_dim: int | None = None


class _Stoppable(SentenceEncoder):
    """An encoder that leaves its work undone once it is ``stopped``; shorter calls, to look between, would take more time."""

    stopped = False

    def require_going_on(self) -> None:
        if self.stopped:
            raise JobError("the job was stopped")

    def _request(
        self, prompt: str | None, prompt_name: str | None, batch_size: int | None, advance: Advance | None = None
    ) -> Request:
        return super()._request(prompt, prompt_name, batch_size, lambda _count: self.require_going_on())


class Station:
    """An encoder on one device."""

    def __init__(self, options: EncodeOptions, device: str) -> None:
        self._options = options
        self._encoder = _Stoppable(
            options.model,
            variant=options.variant,
            revision=options.revision,
            threads=options.threads,
            device=device,
        )

    def work(self, piece: Piece, path: Path) -> None:
        """Encode ``piece`` into the file ``path``, whole or not at all.

        Raises:
            JobError: it was told to stop, or the file cannot be written.
        """
        asked = self._options
        encode = in_role(self._encoder, asked.role)
        slices = []
        for first in range(0, max(1, len(piece.texts)), _SLICE):
            self._encoder.require_going_on()
            slices.append(
                encode(
                    piece.texts[first : first + _SLICE],
                    prompt_name=asked.prompt_name,
                    prompt=asked.prompt,
                    batch_size=asked.batch_size,
                    precision=asked.precision,
                    normalize_embeddings=asked.normalize_embeddings,
                    truncate_dim=asked.truncate_dim,
                )
            )
        try:
            write_vectors(path, piece.fields, np.concatenate(slices))
        except InputError as error:
            raise InputError(f"{piece.source.path}: {error}") from error
        except OSError as error:
            raise JobError(
                f"{path} cannot be written: {error.strerror or error}: once it can, the same command goes on where it was"
            ) from error

    def stop(self) -> None:
        """Leave undone what is not encoded yet."""
        self._encoder.stopped = True


_own: list[Station] = []
"""That of this process, where it is one of several."""


def _work_in_own_process(options: EncodeOptions, device: str, piece: Piece, path: Path) -> None:
    if not _own:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends this process at once, without a traceback
        _own.append(Station(options, device))
    _own[0].work(piece, path)


def through_stations(
    jobs: Iterable[tuple[Piece, Path]], options: EncodeOptions, devices: Sequence[str]
) -> Generator[Piece]:
    """Encode each piece into its file, on whichever of the ``devices`` is free; gives the pieces as they are done.

    Pieces are taken from ``jobs`` as they are needed, so that few are in memory.

    Raises:
        JobError: a process ended, or a part cannot be written.
        EmbedrtError: whatever an encoder raises.
    """
    with ExitStack() as stack:
        crews: list[tuple[Executor, Work]] = []
        waiting: dict[Future[None], tuple[int, Piece]] = {}
        for piece, path in jobs:
            crews = crews or _crews(options, devices, stack)
            while len(waiting) >= _AT_A_TIME * len(crews):
                yield from _done(waiting, devices)
            loads = [sum(at == crew for at, _ in waiting.values()) for crew in range(len(crews))]
            at = loads.index(min(loads))
            executor, work = crews[at]
            try:
                waiting[executor.submit(work, piece, path)] = (at, piece)
            except BrokenExecutor as error:
                raise _lost(devices[at]) from error
        while waiting:
            yield from _done(waiting, devices)


def _crews(options: EncodeOptions, devices: Sequence[str], stack: ExitStack) -> list[tuple[Executor, Work]]:
    """For each device who runs its work, and what is called."""
    if len(devices) == 1:
        station = Station(options, devices[0])
        executor: Executor = _entered(ThreadPoolExecutor(_AT_A_TIME), stack)
        stack.callback(station.stop)
        return [(executor, station.work)]
    import multiprocessing  # five milliseconds that every command would pay
    from concurrent.futures import ProcessPoolExecutor

    on_cpu = sum(parse_device(device).kind == "cpu" for device in devices)
    share = max(1, available_threads() // on_cpu) if on_cpu > 1 else None
    shared = replace(options, threads=options.threads or share)
    crews: list[tuple[Executor, Work]] = []
    for device in devices:
        executor = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        crews.append((_entered(executor, stack), partial(_work_in_own_process, shared, device)))
    return crews


def _entered(executor: Executor, stack: ExitStack) -> Executor:
    """Ended with ``stack``: what has not begun by then is left undone."""
    stack.callback(executor.shutdown, cancel_futures=True)
    return executor


def _done(waiting: dict[Future[None], tuple[int, Piece]], devices: Sequence[str]) -> Iterator[Piece]:
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        at, piece = waiting.pop(future)
        try:
            future.result()
        except BrokenExecutor as error:
            raise _lost(devices[at]) from error
        yield piece


def _lost(device: str) -> JobError:
    return JobError(f"the process on {device} ended, perhaps for want of memory: the same command goes on where it was")
