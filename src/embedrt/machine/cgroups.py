"""Where the kernel keeps the limits of this process: the folders of its control groups, versions 1 and 2."""

from collections.abc import Iterator
from pathlib import Path

__all__ = ["CGROUP_ROOT", "OWN_CGROUPS", "group_folders"]

CGROUP_ROOT = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def group_folders(controller: str, *, cgroup_root: Path, own_cgroups: Path) -> Iterator[Path]:
    """The folders of the groups that ``controller`` (``memory`` …) counts this process in, each before its parents."""
    try:
        lines = own_cgroups.read_text(encoding="ascii").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mount = cgroup_root / controllers if controllers else cgroup_root
        group = mount / path.lstrip("/")
        for folder in [group, *group.parents]:
            yield folder
            if folder == mount:
                break
