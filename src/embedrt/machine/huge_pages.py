"""Memory that a model works in, moved to pages of 2 MB once it has worked for a while.

A processor remembers where some two thousand pages lie. Weights and what runs write are tens of thousands of the usual 4 KB,
and looking the others up takes part of every run: 2 % of a single text's in int8, 5 % in float32. Linux moves memory that is
there already when it is asked to, since 6.1, while the process goes on: some 4 ms for each 2 MB. A process that stays has that
back, one that encodes a few texts and ends never would; so it is asked after seconds of work, and not at the start.

Moved is what came since the model began to load, and of that only what is all in use, so that memory does not grow. Where an
administrator wants no huge pages at all, there are none.

https://docs.kernel.org/admin-guide/mm/transhuge.html
"""

import ctypes
import itertools
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

__all__ = ["WorkingMemory", "anonymous_regions", "block_size", "blocks_in_use", "move"]

Region = tuple[int, int]
"""First address, and the one behind the last."""

_AFTER = 3.0
"""Seconds of runs: who has worked so long may well go on for the ten seconds that pay for 100 to 200 ms of moving."""
_MOST = 512
"""Blocks that are moved at most: 1 GB, in some two seconds of one thread."""
_POLICY = Path("/sys/kernel/mm/transparent_hugepage")
_MAPS, _PAGE_MAP = Path("/proc/self/maps"), Path("/proc/self/pagemap")
_OWN = ("[heap]", "[anon")  # names of memory that is no file's; most has none
_COLLAPSE = 25  # MADV_COLLAPSE
_ENTRY = 8  # bytes of a page in the page map, whose highest bit says that it is in memory
_PRESENT = np.uint64(63)


class WorkingMemory:
    """The memory that comes from now on, until it has been worked in for long enough; safe to use from several threads."""

    def __init__(self, *, after: float = _AFTER) -> None:
        """``after``: seconds of work."""
        self._left, self._size = after, block_size()
        self._before = [anonymous_regions()] if self._size else []  # taken once; no lock that a fork could leave shut

    def worked(self, seconds: float) -> None:
        """Count some more work; what is due then happens in a thread of its own, or never where none can be started."""
        self._left -= seconds  # of two threads that count at once one may be lost
        if self._left <= 0 and self._before:
            try:
                threading.Thread(target=self.settle, name="embedrt-huge-pages", daemon=True).start()
            except RuntimeError:  # the process may have no more of them; what it has works on
                self._before.clear()

    def settle(self) -> int:
        """Move it now, in this thread, if nobody has; how many blocks were."""
        try:
            before = self._before.pop()
        except IndexError:
            return 0
        return move(blocks_in_use(anonymous_regions(), before, self._size), self._size)


def block_size(policy: Path = _POLICY) -> int:
    """Bytes of a huge page; 0 where there are none, or none are wanted."""
    try:
        if "[never]" in (policy / "enabled").read_text(encoding="ascii"):
            return 0
        return int((policy / "hpage_pmd_size").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def anonymous_regions(maps: Path = _MAPS) -> list[Region]:
    """Where this process has memory of its own that it may write to, of no file; empty where the system does not say."""
    try:
        lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [region for line in lines if (region := _region(line)) is not None]


def _region(line: str) -> Region | None:
    """``55d0-55f0 rw-p 0 00:00 0 [heap]``: addresses, rights, offset, device, inode, and what it is."""
    addresses, rights, _, _, _, *name = line.split()
    if rights != "rw-p" or (name and not name[0].startswith(_OWN)):
        return None
    first, _, end = addresses.partition("-")
    return int(first, 16), int(end, 16)


def blocks_in_use(
    regions: Sequence[Region], before: Sequence[Region], size: int, *, page_map: Path = _PAGE_MAP
) -> list[int]:
    """First addresses of blocks that lie in ``regions`` and reach into none of ``before``, and whose pages are all in memory.

    No more are looked for than are moved at most.
    """
    new = (block for region in regions for block in _whole_blocks(region, size) if not _reaches(block, size, before))
    try:
        with page_map.open("rb", buffering=0) as file:
            return list(itertools.islice((block for block in new if _in_use(file.fileno(), block, size)), _MOST))
    except OSError:
        return []


def _whole_blocks(region: Region, size: int) -> range:
    first, end = region
    return range(-(-first // size) * size, end - size + 1, size)


def _reaches(block: int, size: int, regions: Sequence[Region]) -> bool:
    return any(block < end and first < block + size for first, end in regions)


def _in_use(page_map: int, block: int, size: int) -> bool:
    """Whether all pages of a block are in memory, by the open file that says it of each."""
    page = os.sysconf("SC_PAGE_SIZE")
    entries = np.frombuffer(os.pread(page_map, size // page * _ENTRY, block // page * _ENTRY), np.uint64)
    return int(np.count_nonzero(entries >> _PRESENT)) == size // page


def move(blocks: Sequence[int], size: int) -> int:
    """Move blocks of ``size`` bytes at these addresses to huge pages; how many were, which is none before Linux 6.1."""
    if not blocks:
        return 0
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    moved = 0
    for block in blocks:
        if advise(block, size, _COLLAPSE) == 0:
            moved += 1
        elif not moved:
            break
    return moved
