"""Encoders at work on pieces: few in memory, whole parts or none, however they are stopped."""

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedrt.corpus import EncodeOptions, stations
from embedrt.corpus.sources import Piece, Source
from embedrt.errors import InputError, JobError

Texts = Callable[..., list[str]]


def endless(texts: Texts, output: Path, taken: list[int]) -> Iterator[tuple[Piece, Path]]:
    source = Source(output, "endless")
    for number in range(10_000):
        taken.append(number)
        fields = [{"text": text} for text in texts(3)]
        piece = Piece(source=source, number=number, texts=texts(3), fields=fields, skipped=0, bytes=1)
        yield piece, output / f"{number}.npy"


@pytest.mark.parametrize("devices", [("cpu",), ("cpu", "cpu")])
def test_few_pieces_are_in_memory(
    tmp_path: Path, texts: Texts, options: EncodeOptions, devices: tuple[str, ...]
) -> None:
    taken: list[int] = []
    through = stations.through_stations(endless(texts, tmp_path, taken), options, devices)
    for done in range(1, 30):
        next(through)
        assert len(taken) - done <= 2 * len(devices) + 1
    through.close()


def test_a_job_that_is_stopped_leaves_whole_parts(tmp_path: Path, texts: Texts, options: EncodeOptions) -> None:
    through = stations.through_stations(endless(texts, tmp_path, []), options, ("cpu",))
    next(through)
    through.close()
    found = [np.load(path) for path in tmp_path.glob("*")]
    assert found
    assert {vectors.shape for vectors in found} == {(3, 8)}


def test_an_encoder_that_is_told_to_stop(tmp_path: Path, texts: Texts, options: EncodeOptions) -> None:
    [(piece, path)] = islice(endless(texts, tmp_path, []), 1)
    station = stations.Station(options, "cpu")
    station.work(piece, path)
    assert path.is_file()
    station.stop()
    with pytest.raises(InputError, match="this encoder was closed"):
        station.work(piece, path.with_stem("other"))
    assert list(tmp_path.iterdir()) == [path]


def test_an_encoder_is_stopped_between_batches(tmp_path: Path, options: EncodeOptions) -> None:
    [(piece, path)] = islice(endless(lambda count: ["a cat"] * count, tmp_path, []), 1)
    station = stations.Station(replace(options, batch_size=1, threads=1), "cpu")
    ran: list[int] = []
    session = station._encoder._runner.session
    run = session.run

    def stopping(*arguments: Any, **named: Any) -> Any:
        ran.append(len(arguments[0]))
        station.stop()
        return run(*arguments, **named)

    session.run = stopping
    piece = replace(piece, texts=["a cat", "a cat sat", "a cat sat on"])
    with pytest.raises(InputError, match="the model was closed while it was at work"):
        station.work(piece, path)
    assert ran == [1]


def test_a_process_that_dies_is_told(tmp_path: Path, texts: Texts, options: EncodeOptions) -> None:
    through = stations.through_stations(endless(texts, tmp_path, []), options, ("cpu", "cpu"))
    next(through)
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(
        JobError, match="the process on cpu ended, perhaps for want of memory: the same command goes on"
    ):
        list(through)


def test_fields_that_fit_into_no_column_are_told(tmp_path: Path, texts: Texts, options: EncodeOptions) -> None:
    [(piece, _path)] = islice(endless(texts, tmp_path / "a.jsonl", []), 1)
    piece = replace(piece, fields=[{"n": [1]}, {"n": 2}, {}])
    with pytest.raises(InputError, match=r"a\.jsonl: the records' field 'n' does not fit into a column of \.parquet: "):
        stations.Station(options, "cpu").work(piece, tmp_path / "0.parquet")
