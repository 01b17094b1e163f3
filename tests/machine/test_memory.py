"""How much memory is free: invented machines with cgroup trees of both versions."""

import os
from pathlib import Path

import pytest

from embedrt.machine.memory import available_memory

MEGA = 1 << 20
MACHINE = 4000 * MEGA


def _machine(folder: Path, own: str, files: dict[str, str], meminfo: str | None = None) -> int | None:
    """Free bytes where /proc/self/cgroup says ``own`` and the cgroup tree has these ``files``."""
    if meminfo is None:
        meminfo = f"MemTotal: 9 kB\nMemFree:  7 kB\nMemAvailable:   {MACHINE // 1024} kB\n"
    (folder / "meminfo").write_text(meminfo, encoding="ascii")
    root = folder / "cgroup"
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="ascii")
    (folder / "own").write_text(own, encoding="ascii")
    return available_memory(meminfo=folder / "meminfo", cgroup_root=root, own_cgroups=folder / "own")


def _group(folder: str, limit: str, use: int, inactive: int = 0, *, version: int = 2) -> dict[str, str]:
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    stat = f"anon 1\n{'inactive_file' if version == 2 else 'total_inactive_file'} {inactive * MEGA}\nother 3\n"
    contents = (f"{limit}\n", f"{use * MEGA}\n", stat)
    return dict(zip([f"{folder}/{name}" for name in (*names, "memory.stat")], contents, strict=True))


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 4000),
        (_group("a/b", "max", 900), 4000),
        (_group("a/b", str(1000 * MEGA), 900), 100),
        (_group("a/b", str(1000 * MEGA), 900, 300), 400),
        (_group("a", str(1000 * MEGA), 200), 800),
        ({**_group("a", str(1000 * MEGA), 500), **_group("a/b", str(700 * MEGA), 100)}, 500),
        (_group("a/b", str(9000 * MEGA), 0), 4000),
        (_group("elsewhere", str(10 * MEGA), 0), 4000),
        (_group("a/b", str(100 * MEGA), 200), 0),
        ({"a/b/memory.max": "1000\n"}, 4000),
    ],
)
def test_version_2(tmp_path: Path, files: dict[str, str], free: int) -> None:
    assert _machine(tmp_path, "0::/a/b\n", files) == free * MEGA


def test_version_1(tmp_path: Path) -> None:
    files = _group("memory/a", str(1000 * MEGA), 700, 50, version=1)
    assert _machine(tmp_path, "4:cpu,cpuacct:/a\n9:memory:/a\n", files) == 350 * MEGA


def test_other_controllers_are_not_asked(tmp_path: Path) -> None:
    files = _group("cpu/a", str(1000 * MEGA), 700, version=1)
    assert _machine(tmp_path, "4:cpu:/a\n", files) == MACHINE


def test_a_machine_that_tells_its_size_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert _machine(tmp_path, "", {}, meminfo="") == 4_096_000


def test_a_machine_that_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf_names")
    nowhere = tmp_path / "nowhere"
    assert available_memory(meminfo=nowhere, cgroup_root=nowhere, own_cgroups=nowhere) is None


def test_this_machine_has_some() -> None:
    free = available_memory()
    assert free is not None
    assert 1 * MEGA < free < 1 << 50
