"""Stage 6: the artifact folder, written beside its place and moved there when it is whole."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx_ir
from embedrt_export.source import Checkpoint
from onnx_ir.passes import common
from tokenizers import Tokenizer

from embedrt.artifact import TOKENIZER_FILE, sha256_of
from embedrt.errors import CheckpointError, InputError
from embedrt.manifest import MANIFEST_FILE, METADATA_KEY, FileRecord, Manifest, Serving, serving_to_json

__all__ = ["file_records", "staging", "write_graph", "write_manifest", "write_tokenizer"]

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


def write_tokenizer(checkpoint: Checkpoint, folder: Path) -> None:
    """tokenizer.json with truncation baked in, and the configuration files that other runtimes look for.

    Raises:
        CheckpointError: the tokenizer exists in Python only.
    """
    backend = getattr(checkpoint.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise CheckpointError(
            f"{checkpoint.source.model} has a {type(checkpoint.tokenizer).__name__}, which runs in Python only: "
            "a checkpoint with a tokenizer.json, or one that transformers can convert to it, is needed"
        )
    checkpoint.tokenizer.save_pretrained(folder)
    for extra in folder.glob("*"):
        if extra.name not in (TOKENIZER_FILE, "tokenizer_config.json", "special_tokens_map.json"):
            extra.unlink()
    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if checkpoint.max_seq_length is not None:
        tokenizer.enable_truncation(checkpoint.max_seq_length, direction=checkpoint.tokenizer.truncation_side)
    tokenizer.save(str(folder / TOKENIZER_FILE))
    config = json.dumps(checkpoint.transformer.config.to_diff_dict(), indent=2, ensure_ascii=False, sort_keys=True)
    (folder / "config.json").write_text(config + "\n", encoding="utf-8")


def write_graph(model: onnx_ir.Model, path: Path, serving: Serving) -> None:
    """Save ``model`` without the tracer's notes, carrying the manifest's serving part; external data only above 2 GB."""
    common.ClearMetadataAndDocStringPass()(model)
    model.metadata_props[METADATA_KEY] = serving_to_json(serving)
    model.producer_name = "embedrt"
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = sum(
        value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None
    )
    external = f"{path.name}_data" if weights > _ONE_FILE_LIMIT - (1 << 26) else None
    onnx_ir.save(model, path, external_data=external)


def file_records(folder: Path) -> dict[str, FileRecord]:
    """Size and SHA-256 of every file in ``folder`` but the manifest, by its path with forward slashes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_FILE)
    return {
        path.relative_to(folder).as_posix(): FileRecord(sha256=sha256_of(path), bytes=path.stat().st_size)
        for path in files
    }


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write embedrt.json, the last file of an artifact."""
    (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
