"""Weights of one module, from its model.safetensors, without PyTorch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, deserialize

from embedrt.errors import CheckpointError

__all__ = ["WEIGHTS_FILE", "read_weights"]

WEIGHTS_FILE = "model.safetensors"
_PICKLED = "pytorch_model.bin"
_DTYPES: dict[str, type] = {"F32": np.float32, "F16": np.float16, "F64": np.float64}

Floats = npt.NDArray[np.float32]


def read_weights(folder: Path, wanted: Mapping[str, tuple[int, ...]], *, said_by: str) -> dict[str, Floats]:
    """The weights of ``wanted``, float32, each of the shape named there.

    Args:
        folder: of the module.
        wanted: shapes by key.
        said_by: what in the module's configuration asks for these shapes.

    Raises:
        CheckpointError: the file or a weight is missing, one is of another shape, or there is one too many.
    """
    path = folder / WEIGHTS_FILE
    found = _tensors(path)
    if missing := [key for key in wanted if key not in found]:
        raise CheckpointError(
            f"{path} lacks {missing[0]}, it has {', '.join(found) or 'nothing'}: copy the module's folder of the checkpoint again"
        )
    if further := [key for key in found if key not in wanted]:
        raise CheckpointError(
            f"{path} has {further[0]}, expected {', '.join(wanted)} by {said_by}: is the config.json beside it another's?"
        )
    for key, shape in wanted.items():
        if found[key].shape != shape:
            raise CheckpointError(
                f"{path} has {key} of shape {found[key].shape}, expected {shape} by {said_by}: "
                "one of the two files is of another checkpoint, copy the folder again"
            )
    return found


def _tensors(path: Path) -> dict[str, Floats]:
    if not path.is_file():
        raise CheckpointError(_no_weights(path.parent))
    try:
        tensors: list[tuple[str, dict[str, Any]]] = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
        return {key: _floats(tensor, path, key) for key, tensor in tensors}
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no whole safetensors file ({error}): download it again") from error


def _no_weights(folder: Path) -> str:
    if (folder / _PICKLED).is_file():
        checkpoint = folder.parent
        return (
            f"{folder} has its weights in {_PICKLED}, which only PyTorch can read: type embedrt export {checkpoint} OUT, "
            "or with PyTorch installed, to convert them: "
            "python -c \"from sentence_transformers import SentenceTransformer as S; S('"
            + str(checkpoint)
            + "').save('CONVERTED')\""
        )
    return f"{folder} has no {WEIGHTS_FILE}, which holds the module's weights: download the checkpoint again, with this folder"


def _floats(tensor: Mapping[str, Any], path: Path, key: str) -> Floats:
    kind, data = tensor["dtype"], bytes(tensor["data"])
    if kind == "BF16":  # the upper half of a float32
        values = (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    elif kind in _DTYPES:
        values = np.frombuffer(data, _DTYPES[kind]).astype(np.float32)
    else:
        raise CheckpointError(
            f"{path} has {key} of type {kind}, expected F32, F16, BF16 or F64: export the checkpoint instead"
        )
    return values.reshape(tensor["shape"])
