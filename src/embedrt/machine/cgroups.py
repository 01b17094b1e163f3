"""Where the kernel keeps the limits of this process: the folders of its control groups, versions 1 and 2."""

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["CGROUP_ROOT", "OWN_CGROUPS", "group_folders"]

CGROUP_ROOT = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
_SEPARATORS = 2  # of a line: a number, controllers, and a path, which may hold further ones


def group_folders(controller: str, *, cgroup_root: Path, own_cgroups: Path) -> Iterator[Path]:
    """The folders of the groups that ``controller`` (``memory`` …) counts this process in, each before its parents."""
    try:
        lines = os.fsdecode(own_cgroups.read_bytes()).split("\n")
    except OSError:
        return
    for line in lines:
        if line.count(":") < _SEPARATORS:
            continue
        _, controllers, path = line.split(":", _SEPARATORS)
        if controllers and controller not in controllers.split(","):
            continue
        mount = cgroup_root / controllers if controllers else cgroup_root
        group = mount / path.lstrip("/")
        for folder in [group, *group.parents]:
            yield folder
            if folder == mount:
                break
