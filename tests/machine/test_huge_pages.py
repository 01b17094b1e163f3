"""Memory moved to huge pages: which there are, which of it is moved and when, and that nothing in it changes."""

import mmap
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from embedrt import SentenceEncoder
from embedrt.inference.session import GraphSession
from embedrt.machine import huge_pages
from embedrt.machine.huge_pages import WorkingMemory, anonymous_regions, block_size, blocks_in_use, move

BLOCK = 2 << 20
PAGE = 4096
_NOWHERE = 1 << 45  # an address where no process has anything
linux = pytest.mark.skipif(sys.platform != "linux" or mmap.PAGESIZE != PAGE, reason="needs Linux with pages of 4 KB")

MAPS = """\
00400000-00402000 r-xp 00000000 fd:00 123 /usr/bin/python
00500000-00700000 rw-p 00000000 00:00 0 [heap]
7f0000000000-7f0000800000 rw-p 00000000 00:00 0
7f0000800000-7f0000900000 ---p 00000000 00:00 0
7f0001000000-7f0001200000 rw-p 00000000 fd:00 77 /models/a file.onnx
7f0002000000-7f0002200000 rw-s 00000000 00:01 0
7f0003000000-7f0003200000 rw-p 00000000 00:00 0 [anon: glibc: malloc]
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0 [stack]
"""


class Own:
    """Some blocks of memory of this process, and where they are."""

    def __init__(self, blocks: int) -> None:
        self.memory = np.frombuffer(
            mmap.mmap(-1, (blocks + 1) * BLOCK, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8
        )
        address = self.memory.ctypes.data
        self.first = -(-address // BLOCK) * BLOCK
        self.region = (self.first, self.first + blocks * BLOCK)
        self.blocks = self.memory[self.first - address :][: blocks * BLOCK].reshape(blocks, BLOCK)


def test_the_size_of_a_huge_page_and_whether_they_are_wanted(tmp_path: Path) -> None:
    assert block_size(tmp_path) == 0
    (tmp_path / "hpage_pmd_size").write_text("2097152\n")
    sizes = {}
    for policy in ("[always] madvise never", "always [madvise] never", "always madvise [never]"):
        (tmp_path / "enabled").write_text(policy)
        sizes[policy] = block_size(tmp_path)
    assert list(sizes.values()) == [BLOCK, BLOCK, 0]


def test_regions_are_those_of_no_file_that_may_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "maps").write_text(MAPS)
    assert anonymous_regions(tmp_path / "maps") == [
        (0x500000, 0x700000),
        (0x7F0000000000, 0x7F0000800000),
        (0x7F0003000000, 0x7F0003200000),
    ]
    assert anonymous_regions(tmp_path / "nothing") == []


@linux
def test_blocks_whose_pages_are_all_in_use() -> None:
    own = Own(4)
    own.blocks[0] = 1
    own.blocks[1, : BLOCK - PAGE] = 1  # its last page was never touched
    own.blocks[3] = 1
    first, end = own.region
    assert any(begin <= first and end <= stop for begin, stop in anonymous_regions())
    assert blocks_in_use([own.region], [], BLOCK) == [first, first + 3 * BLOCK]
    assert blocks_in_use([(first + 1, end - 1)], [], BLOCK) == []
    assert blocks_in_use([own.region], [(first - BLOCK, first + PAGE)], BLOCK) == [first + 3 * BLOCK]
    assert blocks_in_use([own.region], [(first + 3 * BLOCK, end + PAGE)], BLOCK) == [first]
    assert blocks_in_use([own.region], [own.region], BLOCK) == []
    assert blocks_in_use([own.region], [], BLOCK, page_map=Path("/nowhere")) == []


@linux
def test_what_was_moved_is_in_huge_pages_and_the_same() -> None:
    own = Own(2)
    own.blocks[:] = np.random.default_rng(0).integers(0, 256, own.blocks.shape, dtype=np.uint8)
    before = own.blocks.copy()
    if move([own.first, _NOWHERE], BLOCK) == 0:
        pytest.skip("this kernel moves nothing (MADV_COLLAPSE came with Linux 6.1)")
    assert move([own.first, _NOWHERE], BLOCK) == 1
    assert move([_NOWHERE, own.first], BLOCK) == 0
    assert _huge_kilobytes(own.region) == BLOCK // 1024
    np.testing.assert_array_equal(own.blocks, before)


def _huge_kilobytes(region: tuple[int, int]) -> int:
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        addresses = line.split()[0]
        if "-" in addresses:
            first, end = (int(address, 16) for address in addresses.split("-"))
            inside = first < region[1] and region[0] < end
        elif inside and addresses == "AnonHugePages:":
            total += int(line.split()[1])
    return total


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The blocks of each call that would have moved them."""
    calls: list[list[int]] = []

    def note(blocks: list[int], size: int) -> int:
        assert size == BLOCK
        calls.append(blocks)
        return len(blocks)

    monkeypatch.setattr(huge_pages, "block_size", lambda: BLOCK)
    monkeypatch.setattr(huge_pages, "move", note)
    return calls


def _ended() -> None:
    for thread in threading.enumerate():
        if thread.name == "embedrt-huge-pages":
            thread.join(timeout=30)


@linux
def test_new_memory_is_moved_once_after_enough_work(moved: list[list[int]]) -> None:
    old = Own(1)
    old.blocks[:] = 1
    memory = WorkingMemory(after=1.0)
    new = Own(2)
    new.blocks[:] = 1
    memory.worked(0.6)
    _ended()
    assert moved == []
    callers = [threading.Thread(target=memory.worked, args=(0.6,)) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    _ended()
    [blocks] = moved
    assert {new.first, new.first + BLOCK} <= set(blocks)
    assert old.first not in blocks
    assert memory.settle() == 0
    assert len(moved) == 1


@linux
def test_where_no_thread_can_be_started_nothing_is_moved(
    moved: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(thread: threading.Thread) -> None:
        asked.append(thread)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    memory = WorkingMemory(after=1.0)
    for _ in range(3):
        memory.worked(2.0)
    assert (len(asked), memory.settle(), moved) == (1, 0, [])


def test_no_more_than_a_limit_is_moved(moved: list[list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huge_pages, "_MOST", 2)
    memory = WorkingMemory()
    new = Own(3)
    new.blocks[:] = 1
    assert memory.settle() == 2
    assert [len(blocks) for blocks in moved] == [2]


def test_where_huge_pages_are_not_wanted_nothing_is_watched(
    moved: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huge_pages, "block_size", lambda: 0)
    memory = WorkingMemory(after=0.0)
    memory.worked(1.0)
    assert memory.settle() == 0
    _ended()
    assert moved == []


def test_a_session_counts_its_runs(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[float] = []
    monkeypatch.setattr(WorkingMemory, "worked", lambda _memory, seconds: counted.append(seconds))
    session = GraphSession(tiny / "onnx/model.onnx")
    tokens = np.ones((2, 3), dtype=np.int64)
    for _ in range(3):
        session.run(tokens, tokens)
    assert len(counted) == 3
    assert all(0 < seconds < 10 for seconds in counted)


def test_vectors_keep_their_bits(tiny: Path) -> None:
    with SentenceEncoder(tiny) as encoder:
        texts = ["how do i reset my password", "hello"]
        before = encoder.encode(texts)
        encoder._opened.session.settle()
        np.testing.assert_array_equal(encoder.encode(texts), before)
