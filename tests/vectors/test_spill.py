"""Where vectors go: the decision by invented numbers, the file by what is left of it."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from embedrt.errors import InputError, UnavailableError
from embedrt.spill import Need, spill_folder, spill_notice, spilled_vectors, spills

GIGA = 10**9
MILLION = Need(texts=1_000_000, dimension=384, pairs=100)  # 1.536 GB


@pytest.mark.parametrize(
    ("memory", "spilled"),
    [(None, False), (100 * GIGA, False), (4_608_010_000, False), (4_608_009_999, True), (GIGA, True)],
)
def test_vectors_that_take_more_than_a_third_go_to_disk(memory: int | None, spilled: bool) -> None:
    assert spills(MILLION, Path("unused"), memory=memory, disk=1_536_000_000) is spilled


def test_neither_memory_nor_disk() -> None:
    with pytest.raises(UnavailableError) as error:
        spills(MILLION, Path("/somewhere"), memory=2 * GIGA, disk=1_535_999_999)
    assert str(error.value) == (
        "1000000 vectors of 384 take 1.5 GB; 2.0 GB of memory and 1.5 GB in /somewhere are free: "
        "name a folder on a larger disk with --spill"
    )


def test_more_pairs_than_memory() -> None:
    need = Need(texts=1_000_000, dimension=384, pairs=499_999_500_000)
    with pytest.raises(UnavailableError, match=r"499999500000 pairs take 49999\.9 GB, 8\.0 GB .* fewer with --top"):
        spills(need, Path("unused"), memory=8 * GIGA, disk=10**15)


def test_the_disk_is_asked(tmp_path: Path) -> None:
    beyond = Need(texts=10**12, dimension=384, pairs=1)
    with pytest.raises(UnavailableError, match=f"in {tmp_path} are free"):
        spills(beyond, tmp_path, memory=GIGA)
    assert spills(Need(texts=10, dimension=4, pairs=1), tmp_path, memory=200)


def test_notice() -> None:
    assert spill_notice(MILLION, Path("/disk")) == (
        "1000000 vectors of 384 take 1.5 GB, too much for the memory that is free: "
        "they are kept in a temporary file in /disk"
    )


def test_a_file_that_leaves_nothing_behind(tmp_path: Path) -> None:
    need = Need(texts=100, dimension=3, pairs=1)
    values = np.arange(300, dtype=np.float32).reshape(100, 3)
    with spilled_vectors(need, tmp_path) as vectors:
        assert (vectors.shape, vectors.dtype, type(vectors)) == ((100, 3), np.dtype(np.float32), np.ndarray)
        vectors[:] = values
        np.testing.assert_array_equal(vectors, values)
    del vectors
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyError), spilled_vectors(need, tmp_path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _start: int, _size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    message = f"no file of 1.2 GB in {tmp_path}: No space left on device. Name another folder"
    with (
        pytest.raises(UnavailableError, match=message),
        spilled_vectors(Need(texts=10**6, dimension=300, pairs=1), tmp_path),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert spill_folder(tmp_path) == tmp_path
    with pytest.raises(InputError, match="nowhere is no folder: make it first"):
        spill_folder(tmp_path / "nowhere")
    monkeypatch.delenv("TMPDIR", raising=False)
    assert spill_folder() == Path("/var/tmp")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # it is looked up once, and kept
    assert spill_folder() == tmp_path
