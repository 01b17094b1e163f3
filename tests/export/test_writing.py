"""An artifact appears whole or not at all."""

import dataclasses
from pathlib import Path

import pytest
from embedrt_export.packing.writing import file_records, staging, write_manifest

from embedrt.artifact.manifest import MANIFEST_FILE, Manifest
from embedrt.errors import InputError, ManifestError


def _fill(folder: Path, content: str) -> None:
    (folder / "embedrt.json").write_text(content)


def _fail_halfway(out: Path) -> None:
    with staging(out, overwrite=True) as folder:
        _fill(folder, "half")
        raise RuntimeError("stopped")


def test_a_finished_folder_takes_its_place(tmp_path: Path) -> None:
    with staging(tmp_path / "deep" / "out") as folder:
        _fill(folder, "new")
        assert not (tmp_path / "deep" / "out").exists()
    assert (tmp_path / "deep" / "out" / "embedrt.json").read_text() == "new"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_a_failed_job_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stopped"):
        _fail_halfway(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_replacement_keeps_the_old(tmp_path: Path) -> None:
    with staging(tmp_path / "out") as folder:
        _fill(folder, "old")
    with pytest.raises(RuntimeError, match="stopped"):
        _fail_halfway(tmp_path / "out")
    assert (tmp_path / "out" / "embedrt.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_replacement_leaves_only_the_new(tmp_path: Path) -> None:
    with staging(tmp_path / "out") as folder:
        _fill(folder, "old")
        (folder / "stale").write_text("x")
    with staging(tmp_path / "out", overwrite=True) as folder:
        _fill(folder, "new")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["embedrt.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_artifact_is_not_replaced_unasked(tmp_path: Path) -> None:
    with staging(tmp_path / "out") as folder:
        _fill(folder, "old")
    with pytest.raises(InputError, match=r"artifact already.*--overwrite"), staging(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / "embedrt.json").read_text() == "old"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_foreign_folder_is_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not an artifact"), staging(tmp_path, overwrite=overwrite):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with staging(tmp_path / "out") as folder:
        _fill(folder, "new")
    assert (tmp_path / "out" / "embedrt.json").read_text() == "new"


def test_records_name_every_file_but_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"abc")
    _fill(tmp_path, "{}")
    records = file_records(tmp_path)
    assert list(records) == ["onnx/model.onnx"]
    assert records["onnx/model.onnx"].bytes == 3
    # FIPS 180-2, appendix B.1
    assert records["onnx/model.onnx"].sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_manifest_that_no_runtime_could_read_is_not_written(tiny: Path, tmp_path: Path) -> None:
    whole = Manifest.from_json((tiny / MANIFEST_FILE).read_bytes())
    serving = dataclasses.replace(whole.serving, prompts={"query": 5})  # type: ignore[dict-item]
    with pytest.raises(ManifestError, match=r"serving\.prompts\.query is 5, expected str"):
        write_manifest(dataclasses.replace(whole, serving=serving), tmp_path)
    assert not (tmp_path / MANIFEST_FILE).exists()
    write_manifest(whole, tmp_path)
    assert (tmp_path / MANIFEST_FILE).read_bytes() == (tiny / MANIFEST_FILE).read_bytes()
