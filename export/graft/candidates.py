"""Which of a folder's .onnx files is finished, and whether all of its weights are there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import onnx_ir
from embedrt_export.graft.precision import FLOAT32, precision_of

from embedrt.errors import CheckpointError, InputError

__all__ = ["Candidate", "choose_graph"]

_FIRST = ("onnx/model.onnx", "model.onnx")  # where exporters put the float32 graph
_NOT_FLOAT32 = ("int8", "uint8", "quant", "fp16", "bf16", "q4", "bnb4", "int4")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One graph, read but for its external weights."""

    path: Path
    model: onnx_ir.Model
    precision: str


def choose_graph(folder: Path, graph: str | Path | None) -> Candidate:
    """The graph of this name, or the first float32 one; a graph that is the only one, whatever it is.

    Args:
        folder: of the checkpoint.
        graph: a path, as it is or from ``folder`` on.

    Raises:
        InputError: there is no such file, or several and none is float32.
        CheckpointError: there is no .onnx file, or it is no whole ONNX file.
    """
    names = _names(folder)
    if graph is not None:
        return _read(_named(folder, Path(graph), names))
    if not names:
        raise CheckpointError(
            f"{folder} and {folder / 'onnx'} hold no .onnx file. With PyTorch, type: embedrt export {folder} OUT"
        )
    if len(names) == 1:
        return _read(folder / names[0])
    for name in names:
        if any(mark in name.lower() for mark in _NOT_FLOAT32):
            continue
        found = _read(folder / name)
        if found.precision == FLOAT32:
            return found
    raise InputError(f"none of {', '.join(names)} is float32: choose one with --graph")


def _names(folder: Path) -> list[str]:
    """The .onnx files of the folder and its onnx/, the usual names first."""
    paths = (path for place in (folder, folder / "onnx") for path in place.glob("*.onnx"))
    names = sorted(path.relative_to(folder).as_posix() for path in paths)
    return [*(name for name in _FIRST if name in names), *(name for name in names if name not in _FIRST)]


def _named(folder: Path, graph: Path, names: list[str]) -> Path:
    for path in (folder / graph, graph):
        if path.is_file():
            return path
    raise InputError(f"there is no graph {graph} in {folder}: it has {', '.join(names) or 'none'}")


def _read(path: Path) -> Candidate:
    try:
        model = onnx_ir.load(path)
    except Exception as error:  # protobuf's errors come from its C code and share no documented root
        raise CheckpointError(
            f"{path} is no whole ONNX file ({path.stat().st_size} bytes): {error}. Is it a Git LFS pointer? Download it again"
        ) from error
    _require_external_weights(model, path)
    return Candidate(path, model, precision_of(model))


def _require_external_weights(model: onnx_ir.Model, path: Path) -> None:
    for tensor in _external(model):
        location = str(tensor.location)
        if PurePosixPath(location).is_absolute() or ".." in PurePosixPath(location).parts:
            raise CheckpointError(
                f"{path} names weights in {location}, outside of its folder: expected a file beside it"
            )
        file = path.parent / location
        if not file.is_file():
            raise CheckpointError(
                f"{path} has its weights in {location}, which is not beside it: download that file too"
            )
        end = (tensor.offset or 0) + (tensor.length or 0)
        if file.stat().st_size < end:
            raise CheckpointError(
                f"{file} has {file.stat().st_size} bytes, but {path.name} names weights up to byte {end}: download it again"
            )


def _external(model: onnx_ir.Model) -> Iterator[onnx_ir.ExternalTensor]:
    for value in model.graph.initializers.values():
        if isinstance(value.const_value, onnx_ir.ExternalTensor):
            yield value.const_value
