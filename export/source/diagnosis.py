"""Why a checkpoint cannot be loaded, in a sentence: the libraries know the reason, here is said which file it is in."""

import importlib.metadata
import json
import re
from collections.abc import Iterator
from pathlib import Path

from embedrt_export.source.damage import damage
from safetensors import SafetensorError, safe_open

from embedrt.artifact.hub_files import CONFIG_FILE, MODULES_FILE

__all__ = ["diagnosis", "first_line"]

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_UNKNOWN = re.compile(r'Module "(?P<package>[\w.]+)" does not define a "(?P<name>\w+)"')
_NO_ACTIVATION = re.compile(r"Activation function '(?P<name>torch\.[^']*)' must be a torch\.nn\.Module class")
_LACKS_ARGUMENT = re.compile(r"__init__\(\) missing \d+ required")
_MISMATCH = re.compile(
    r"size mismatch for (?P<key>[\w.]+): .*?Size\((?P<found>\[.*?\])\).*?Size\((?P<wanted>\[.*?\])\)", re.DOTALL
)


def diagnosis(folder: Path, error: Exception) -> str | None:
    """What the user has to know, or None where nothing more can be said than the library did."""
    if (found := damage(folder)) is not None:
        return found
    reason = str(error)
    if isinstance(error, KeyError):
        return f"{folder} cannot be loaded: {reason} is unknown to the installed libraries, or missing. See its config.json"
    if (wrong := _wrong_name(reason)) is not None:
        return wrong
    if "trust_remote_code" in reason:
        advice = "read it, and if you trust it, pass --trust-remote-code"
        return f"{folder} brings its own Python code: {advice} ({first_line(error)})"
    if _LACKS_ARGUMENT.search(reason) and (place := _without_config(folder)) is not None:
        return f"modules.json names {place.name}, which has no config.json: download the checkpoint again"
    if "Could not find 'model.safetensors'" in reason and (place := _without_weights(folder)) is not None:
        return f"{place} has neither {' nor '.join(_WEIGHTS)}, which its module needs: download the checkpoint again"
    if mismatch := _MISMATCH.search(reason):
        place = _holding(folder, mismatch["key"], mismatch["found"])
        return (
            f"{place or folder}/{_WEIGHTS[0]} holds {mismatch['key']} of shape {mismatch['found']}, but its config.json asks for "
            f"{mismatch['wanted']}: one of the two is of another checkpoint"
        )
    return None


def _wrong_name(reason: str) -> str | None:
    """A class that a file names and there is not, or that is none."""
    if no_activation := _NO_ACTIVATION.search(reason):
        return (
            f"the config.json of a Dense module has activation_function {no_activation['name']!r}, expected a class of torch.nn, "
            "as torch.nn.modules.activation.Tanh: correct it"
        )
    if unknown := _UNKNOWN.search(reason):
        version = importlib.metadata.version("sentence-transformers")
        return (
            f"modules.json names the module {unknown['package']}.{unknown['name']}, which sentence-transformers {version} "
            "does not have: install the version that wrote it (config_sentence_transformers.json tells), or correct the name"
        )
    return None


def first_line(error: Exception) -> str:
    """The beginning of a message; where that only announces the next line, both."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):
        return f"{lines[0]} {lines[1]}".rstrip(". ")
    return lines[0].rstrip(". ") if lines else type(error).__name__


def _module_folders(folder: Path) -> Iterator[tuple[Path, str]]:
    """Folder and class name of every module behind the first."""
    for entry in json.loads((folder / MODULES_FILE).read_text(encoding="utf-8"))[1:]:
        yield folder / entry["path"], entry["type"].rpartition(".")[2]


def _without_weights(folder: Path) -> Path | None:
    kept = {"Dense", "LayerNorm", "CNN", "LSTM", "WeightedLayerPooling"}  # modules that have weights
    found = (place for place, kind in _module_folders(folder) if kind in kept)
    return next((place for place in found if not any((place / name).is_file() for name in _WEIGHTS)), None)


def _without_config(folder: Path) -> Path | None:
    places = (place for place, kind in _module_folders(folder) if kind != "Normalize")
    return next((place for place in places if not (place / CONFIG_FILE).is_file()), None)


def _holding(folder: Path, key: str, shape: str) -> Path | None:
    """The module whose file holds ``key`` in this shape."""
    for place, _ in _module_folders(folder):
        try:
            with safe_open(place / _WEIGHTS[0], framework="numpy") as tensors:
                if key in tensors.keys() and str(list(tensors.get_slice(key).get_shape())) == shape:  # noqa: SIM118  no mapping
                    return place
        except (OSError, SafetensorError):
            continue
    return None
