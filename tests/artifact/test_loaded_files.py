"""A folder that is exported again while a model of it is open: its new graph never runs behind the old tokenizer."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from embedrt import SentenceEncoder
from embedrt.errors import IntegrityError
from embedrt.server.held import Held
from embedrt.server.settings import ModelSource

Write = Callable[..., Path]
TEXTS = [f"cat {'hello ' * (index % 9)}" for index in range(100)]


def _swap(folder: Path, new: Path) -> None:
    folder.rename(folder.with_suffix(".replaced"))
    new.rename(folder)


@pytest.mark.parametrize("gone", [False, True])
def test_workers_do_not_load_another_graph(tmp_path: Path, write_artifact: Write, gone: bool) -> None:
    folder, new = write_artifact(tmp_path / "tiny"), write_artifact(tmp_path / "new", seed=1)
    with SentenceEncoder(folder, threads=2) as encoder:
        before = encoder.encode("hello")
        _swap(folder, new)
        if gone:
            (folder / "onnx" / "model.onnx").unlink()
        with pytest.raises(
            IntegrityError,
            match=r"model\.onnx is not the file that was opened, the artifact was replaced: open it again",
        ):
            encoder.encode(TEXTS)
        np.testing.assert_array_equal(encoder.encode("hello"), before)


def test_what_is_the_same_to_the_byte_may_be_another_file(tmp_path: Path, write_artifact: Write) -> None:
    folder = write_artifact(tmp_path / "tiny")
    with SentenceEncoder(folder, threads=2) as encoder:
        graph = folder / "onnx" / "model.onnx"
        os.utime(graph, ns=(0, 0))
        with pytest.raises(IntegrityError, match="open it again"):
            encoder.encode(TEXTS)


def test_weights_in_files_of_their_own_are_looked_at(
    tmp_path: Path, write_graph: Write, write_tokenizer: Write
) -> None:
    write_tokenizer(tmp_path)
    graph, data = tmp_path / "model.onnx", tmp_path / "weights.bin"
    onnx.save(onnx.load(write_graph(graph)), graph, save_as_external_data=True, location=data.name, size_threshold=4096)
    with SentenceEncoder(graph, threads=2) as encoder:
        data.rename(tmp_path / "old.bin")
        data.write_bytes(bytes(6400))
        with pytest.raises(IntegrityError, match=r"weights\.bin is not the file that was opened"):
            encoder.encode(TEXTS)


def test_workers_that_were_opened_before_go_on(tmp_path: Path, write_artifact: Write) -> None:
    folder, new = write_artifact(tmp_path / "tiny"), write_artifact(tmp_path / "new", seed=1)
    with SentenceEncoder(folder, threads=2) as encoder:
        before = encoder.encode(TEXTS)
        _swap(folder, new)
        np.testing.assert_array_equal(encoder.encode(TEXTS), before)


def test_a_server_keeps_its_sessions(tmp_path: Path, write_artifact: Write) -> None:
    folder, new = write_artifact(tmp_path / "tiny"), write_artifact(tmp_path / "new", seed=1)
    held = Held.load(ModelSource(name="tiny", location=str(folder)), threads=2)
    first = held.wide
    held.renew()
    second = held.wide
    assert second is not first
    _swap(folder, new)
    with pytest.raises(IntegrityError):
        held.renew()
    assert held.wide is second
