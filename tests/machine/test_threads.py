"""How many threads are really there: invented cgroup trees of both versions."""

import os
from pathlib import Path

import pytest

from embedrt.machine.threads import available_threads

PROCESSORS = 16


@pytest.fixture(autouse=True)
def _sixteen_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(PROCESSORS)), raising=False)


def _tree(folder: Path, own: str, files: dict[str, str]) -> int:
    """Threads where /proc/self/cgroup says ``own`` and the cgroup tree has these ``files``."""
    root = folder / "cgroup"
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="ascii")
    (folder / "own").write_text(own, encoding="utf-8", errors="surrogateescape")
    return available_threads(cgroup_root=root, own_cgroups=folder / "own")


@pytest.mark.parametrize(
    ("files", "threads"),
    [
        ({"a/b/cpu.max": "400000 100000\n"}, 4),
        ({"a/b/cpu.max": "max 100000\n"}, PROCESSORS),
        ({"a/b/cpu.max": "350000 100000\n"}, 3),
        ({"a/b/cpu.max": "150000 50000\n"}, 3),
        ({"a/b/cpu.max": "50000 100000\n"}, 1),
        ({"a/b/cpu.max": "6400000 100000\n"}, PROCESSORS),
        ({"a/cpu.max": "200000 100000\n"}, 2),
        ({"a/b/cpu.max": "max 100000\n", "a/cpu.max": "200000 100000\n"}, 2),
        ({"a/b/cpu.max": "300000 100000\n", "a/cpu.max": "500000 100000\n"}, 3),
        ({"a/b/cpu.max": "500000 100000\n", "cpu.max": "300000 100000\n"}, 3),
        ({"a/b/c/cpu.max": "100000 100000\n", "elsewhere/cpu.max": "100000 100000\n"}, PROCESSORS),
        ({"a/b/cpu.max": "scrambled\n"}, PROCESSORS),
        ({}, PROCESSORS),
    ],
)
def test_version_2(tmp_path: Path, files: dict[str, str], threads: int) -> None:
    assert _tree(tmp_path, "0::/a/b\n", files) == threads


@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize(
    ("files", "threads"),
    [
        ({"a/cpu.cfs_quota_us": "250000\n", "a/cpu.cfs_period_us": "100000\n"}, 2),
        ({"a/cpu.cfs_quota_us": "-1\n", "a/cpu.cfs_period_us": "100000\n"}, PROCESSORS),
        ({"cpu.cfs_quota_us": "300000\n", "cpu.cfs_period_us": "100000\n"}, 3),
        ({"a/cpu.cfs_quota_us": "20000\n", "a/cpu.cfs_period_us": "100000\n"}, 1),
        ({"a/cpu.cfs_quota_us": "200000\n"}, PROCESSORS),
    ],
)
def test_version_1(tmp_path: Path, controllers: str, files: dict[str, str], threads: int) -> None:
    own = f"12:memory:/a\n4:{controllers}:/a\n1:name=systemd:/a\n"
    assert _tree(tmp_path, own, {f"{controllers}/{name}": text for name, text in files.items()}) == threads


def test_the_memory_cgroup_is_not_asked(tmp_path: Path) -> None:
    quota = {"memory/a/cpu.cfs_quota_us": "100000\n", "memory/a/cpu.cfs_period_us": "100000\n"}
    assert _tree(tmp_path, "12:memory:/a\n", quota) == PROCESSORS


@pytest.mark.parametrize("name", ["té", "t\udce9", "a\u2028b"], ids=ascii)
def test_names_that_are_not_ascii(tmp_path: Path, name: str) -> None:
    assert _tree(tmp_path, f"0::/{name}\n", {f"{name}/cpu.max": "500000 100000\n"}) == 5


def test_lines_that_are_not_the_kernels(tmp_path: Path) -> None:
    assert _tree(tmp_path, "garbage\n0:cpu\n0::/a\n", {"a/cpu.max": "500000 100000\n"}) == 5


def test_the_root_group(tmp_path: Path) -> None:
    assert _tree(tmp_path, "0::/\n", {"cpu.max": "500000 100000\n"}) == 5


def test_nothing_above_the_cgroup_tree_is_read(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("100000 100000\n", encoding="ascii")
    assert _tree(tmp_path, "0::/a\n", {"a/cpu.max": "500000 100000\n"}) == 5


def test_without_cgroups_the_affinity_mask_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = tmp_path / "nowhere"
    assert available_threads(cgroup_root=nowhere, own_cgroups=nowhere) == PROCESSORS
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {3}, raising=False)
    assert available_threads(cgroup_root=nowhere, own_cgroups=nowhere) == 1


def test_systems_without_an_affinity_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = tmp_path / "nowhere"
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert available_threads(cgroup_root=nowhere, own_cgroups=nowhere) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_threads(cgroup_root=nowhere, own_cgroups=nowhere) == 1


def test_this_machine_has_at_least_one() -> None:
    assert 1 <= available_threads() <= PROCESSORS
