"""Files of a checkpoint that are not what they are called: not fetched, cut short, or of another form."""

import json
from pathlib import Path

from embedrt.artifact.folder import TOKENIZER_FILE
from embedrt.artifact.graphfile import is_git_lfs_pointer
from embedrt.artifact.hub_files import CONFIG_FILE, LIMITS_FILE, MODULES_FILE, SETTINGS_FILE, TOKENIZER_CONFIG_FILE

__all__ = ["damage"]

_READ = ("*.safetensors", "*.bin", "*.json", "*.model", "*.txt")
_OBJECTS = (CONFIG_FILE, LIMITS_FILE, SETTINGS_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE)


def damage(folder: Path) -> str | None:
    """A sentence about the first such file; None: there is none."""
    if (pointer := _pointer(folder)) is not None:
        return (
            f"{pointer} is a Git LFS pointer and not the file itself: type git lfs pull in its folder, or download the "
            "checkpoint again"
        )
    files = [path for name in (MODULES_FILE, *_OBJECTS) for path in (folder / name, *sorted(folder.glob(f"*/{name}")))]
    return next((found for path in files if path.is_file() and (found := _wrong_form(path)) is not None), None)


def _pointer(folder: Path) -> Path | None:
    """A file that loading reads, where Git has put a note in place of it; .bin is not read beside .safetensors."""
    files = [path for pattern in _READ for path in sorted([*folder.glob(pattern), *folder.glob(f"*/{pattern}")])]
    found = (path for path in files if is_git_lfs_pointer(path))
    return next((path for path in found if path.suffix != ".bin" or not list(path.parent.glob("*.safetensors"))), None)


def _wrong_form(path: Path) -> str | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return f"{path} cannot be loaded, for it is not JSON ({error}): download it again"
    if path.name != MODULES_FILE:
        wrong = f"holds a {type(content).__name__}, expected an object" if not isinstance(content, dict) else None
    elif not isinstance(content, list):
        wrong = f"holds a {type(content).__name__}, expected a list of modules"
    else:
        faulty = (entry for entry in content if not isinstance(entry, dict) or not {"type", "path"} <= entry.keys())
        wrong = next((f"lists {entry!r:.80}, expected an object with type and path" for entry in faulty), None)
    return None if wrong is None else f"{path} {wrong}: download it again"
