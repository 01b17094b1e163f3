"""Encoders at work on pieces of a corpus: one in this process, or one in a process of its own for each of several devices."""

import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from embedrt.corpus.columns import joined
from embedrt.corpus.kinds import EncodeOptions, described, encoded
from embedrt.corpus.sources import Piece
from embedrt.corpus.writing import write_columns
from embedrt.errors import InputError, JobError
from embedrt.inference.session import parse_device
from embedrt.machine.threads import available_threads

__all__ = ["Station", "through_stations"]

Work = Callable[[Piece, Path], None]
_AT_A_TIME = 2
"""Pieces that each device has: while one ends, the other is begun."""
_SLICE = 4096
"""Texts that are tokenized before it is noticed that the encoder was closed; while they are encoded, each batch notices."""


class Station:
    """An encoder on one device."""

    def __init__(self, options: EncodeOptions, device: str) -> None:
        self._options, self._kinds = options, options.kinds or ("dense",)
        self._encoder = described(self._kinds).encoder(
            options.model,
            variant=options.variant,
            revision=options.revision,
            threads=options.threads,
            device=device,
        )

    def work(self, piece: Piece, path: Path) -> None:
        """Encode ``piece`` into the file ``path``, whole or not at all.

        Raises:
            InputError: it was told to stop.
            JobError: the file cannot be written.
        """
        parts = [piece.texts[at : at + _SLICE] for at in range(0, max(1, len(piece.texts)), _SLICE)]
        slices = [encoded(self._encoder, part, self._kinds, self._options) for part in parts]
        columns = {name: joined([one[name] for one in slices]) for name in slices[0]}
        try:
            write_columns(path, piece.fields, columns)
        except InputError as error:
            raise InputError(f"{piece.source.path}: {error}") from error
        except OSError as error:
            raise JobError(
                f"{path} cannot be written: {error.strerror or error}: once it can, the same command goes on where it was"
            ) from error

    def stop(self) -> None:
        """Leave undone what is not encoded yet."""
        self._encoder.close()


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
