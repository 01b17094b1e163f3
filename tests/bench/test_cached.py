"""Artifacts that benches keep: made once, and again when the exporter, or the wish, is another one."""

from pathlib import Path

import pytest
from embedrt_bench.models import cached as module
from embedrt_bench.models.cached import cached, exporter_hash

from embedrt.artifact.manifest import MANIFEST_FILE


def test_an_artifact_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, made = tmp_path / "artifact", []

    def make() -> None:
        out.mkdir(exist_ok=True)
        (out / MANIFEST_FILE).write_text("{}")
        made.append(exporter_hash())

    assert [cached(out, make) for _ in range(3)] == [True, False, False]
    assert cached(out, make, again=True)
    assert not cached(out, make)
    monkeypatch.setattr(module, "exporter_hash", lambda: "another")
    assert [cached(out, make) for _ in range(2)] == [True, False]
    (out / MANIFEST_FILE).unlink()
    assert cached(out, make)
    assert len(made) == 4


def test_what_did_not_end_well_is_made_again(tmp_path: Path) -> None:
    out = tmp_path / "artifact"
    out.mkdir()
    (out / MANIFEST_FILE).write_text("{}")  # and no note of who made it

    def fail() -> None:
        raise OSError("disk full")

    for _ in range(2):
        with pytest.raises(OSError, match="disk full"):
            cached(out, fail)


def test_every_file_of_the_exporter_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(module, "find_spec", lambda _name: Spec)
    found = set()
    for name, content in (("a.py", "1"), ("a.py", "2"), ("texts/b.txt", "1"), ("__pycache__/a.pyc", "1")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
        found.add(exporter_hash.__wrapped__())
    assert len(found) == 3
