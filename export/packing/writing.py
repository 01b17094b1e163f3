"""Stage 6: the artifact folder, written beside its place and moved there when it is whole. No PyTorch."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx_ir
from embedrt_export.packing.external import take_in
from embedrt_export.packing.streamed import save_streamed
from onnx_ir.passes import common

from embedrt.artifact.folder import sha256_of
from embedrt.artifact.manifest import MANIFEST_FILE, METADATA_KEY, FileRecord, Manifest, Serving, serving_to_json
from embedrt.errors import InputError

__all__ = ["file_records", "save_graph", "staging", "write_graph", "write_manifest"]

_ONE_FILE_LIMIT = 2**31 - 1  # bytes of a protobuf message


@contextmanager
def staging(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A folder to fill; it becomes ``out`` when the block ends well, and is deleted when it does not.

    Raises:
        InputError: ``out`` exists and is not an artifact, or is one and ``overwrite`` was not said.
    """
    _check_place(out, overwrite=overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    folder.chmod(0o755)  # mkdtemp's 0700 is not for a folder to be shared
    try:
        yield folder
        if out.exists():
            replaced = folder.with_suffix(".replaced")
            out.rename(replaced)
            folder.rename(out)
            shutil.rmtree(replaced)
        else:
            folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_place(out: Path, *, overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        if out.is_dir():
            out.rmdir()
        return
    if not (out / MANIFEST_FILE).is_file():
        raise InputError(f"{out} exists and is not an artifact: choose another place to write to")
    if not overwrite:
        raise InputError(f"{out} is an artifact already: choose another place, or pass --overwrite to replace it")


def write_graph(model: onnx_ir.Model, path: Path, serving: Serving) -> None:
    """Save ``model`` without the tracer's notes, carrying the manifest's serving part."""
    common.ClearMetadataAndDocStringPass()(model)
    model.metadata_props[METADATA_KEY] = serving_to_json(serving)
    model.producer_name = "embedrt"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_graph(model, path)


def save_graph(model: onnx_ir.Model, path: Path) -> None:
    """Save ``model`` with all of its weights; external data only above 2 GB."""
    take_in(model)
    weights = sum(
        value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None
    )
    if weights > _ONE_FILE_LIMIT - (1 << 26):
        onnx_ir.save(model, path, external_data=f"{path.name}_data")
    else:
        save_streamed(model, path)


def file_records(folder: Path) -> dict[str, FileRecord]:
    """Size and SHA-256 of every file in ``folder`` but the manifest and hidden ones, by its path with forward slashes."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_FILE)
    files = sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return {
        path.relative_to(folder).as_posix(): FileRecord(sha256=sha256_of(path), bytes=path.stat().st_size)
        for path in files
    }


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write embedrt.json, the last file of an artifact.

    Raises:
        ManifestError: no runtime could read it.
    """
    content = manifest.to_json()
    Manifest.from_json(content.encode())
    (folder / MANIFEST_FILE).write_text(content, encoding="utf-8")
