"""How many threads this process may really use.

ONNX Runtime counts the machine's cores and knows nothing of containers; a pool larger than the CPU quota is throttled by
the kernel and slower than a small one. So the affinity mask and the cgroup quota are read here.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from embedrt.machine.cgroups import CGROUP_ROOT, OWN_CGROUPS, group_folders

__all__ = ["available_threads", "physical_cores"]

_PROCESSORS = Path("/sys/devices/system/cpu")


def available_threads(*, cgroup_root: Path = CGROUP_ROOT, own_cgroups: Path = OWN_CGROUPS) -> int:
    """The processors of the affinity mask, or the cgroup quota in whole processors where that is smaller; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([affinity, *_quotas(cgroup_root, own_cgroups)]))


def physical_cores(*, processors: Path = _PROCESSORS, allowed: frozenset[int] | None = None) -> int:
    """Cores of the affinity mask, where two hyperthreads of a core count once; at least 1.

    Matrix products fill a core's arithmetic units with one thread; a second one on the same core waits for them.
    """
    if allowed is None:
        if not hasattr(os, "sched_getaffinity"):
            return os.cpu_count() or 1
        allowed = frozenset(os.sched_getaffinity(0))
    return max(1, len({_siblings(processors, number) for number in allowed}))


def _siblings(processors: Path, number: int) -> str:
    """The processors that share a core with ``number``, as the kernel writes them; itself where it does not."""
    try:
        return (processors / f"cpu{number}/topology/thread_siblings_list").read_text(encoding="ascii").strip()
    except OSError:
        return str(number)


def _quotas(root: Path, own_cgroups: Path) -> Iterator[int]:
    """CPU quotas, in whole processors, of this process's cgroup and of all its parents."""
    for folder in group_folders("cpu", cgroup_root=root, own_cgroups=own_cgroups):
        quota = _quota(folder)
        if quota is not None:
            yield quota


def _quota(folder: Path) -> int | None:
    """The quota that one cgroup folder states, rounded down to whole processors."""
    try:
        if (folder / "cpu.max").exists():  # version 2: "max 100000" or "150000 100000" (microseconds)
            limit, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:  # version 1
            limit = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return None if limit in ("max", "-1") else int(limit) // int(period)
