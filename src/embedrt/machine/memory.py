"""How much memory this process may still take: what the machine has free, and what its control groups allow."""

import os
from collections.abc import Iterator
from pathlib import Path

from embedrt.machine.cgroups import CGROUP_ROOT, OWN_CGROUPS, group_folders

__all__ = ["available_memory"]

_MEMINFO = Path("/proc/meminfo")
_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Limit, use, and the line of memory.stat with what the kernel can take back: of version 2 and of version 1."""


def available_memory(
    *, meminfo: Path = _MEMINFO, cgroup_root: Path = CGROUP_ROOT, own_cgroups: Path = OWN_CGROUPS
) -> int | None:
    """Bytes that can be taken without swapping or being killed; None where the system does not say."""
    folders = group_folders("memory", cgroup_root=cgroup_root, own_cgroups=own_cgroups)
    rooms = [*_free(meminfo), *(room for folder in folders for room in _left(folder))]
    return max(0, min(rooms)) if rooms else None


def _free(meminfo: Path) -> Iterator[int]:
    """What the machine has: free memory on Linux, all of it elsewhere."""
    try:
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024
                return
    except OSError:
        pass
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _left(folder: Path) -> Iterator[int]:
    """Limit less use of one group, where it has a limit."""
    for limit_file, use_file, reclaimable in _FILES:
        try:
            limit = (folder / limit_file).read_text(encoding="ascii").strip()
            use = int((folder / use_file).read_text(encoding="ascii"))
            stat = (folder / "memory.stat").read_text(encoding="ascii").split()
        except (OSError, ValueError):
            continue
        if limit != "max":
            held = dict(zip(stat[::2], map(int, stat[1::2]), strict=False))
            yield int(limit) - use + held.get(reclaimable, 0)
