"""Artifacts in the cache folder that benches share: made once, and again when the exporter is another one."""

import hashlib
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from embedrt.artifact.manifest import MANIFEST_FILE

__all__ = ["CACHE", "cached", "exporter_hash"]

CACHE = Path(__file__).resolve().parents[2] / ".cache"


def cached(out: Path, make: Callable[[], object], *, again: bool = False) -> bool:
    """See that the artifact at ``out`` is there, as ``make`` writes it; whether it had to be made, or was to be ``again``."""
    note = out.with_name(f"{out.name}.made-by")
    present = (out / MANIFEST_FILE).is_file() and note.is_file()
    if present and not again and note.read_text(encoding="utf-8") == exporter_hash():
        return False
    make()
    note.write_text(exporter_hash(), encoding="utf-8")
    return True


@cache
def exporter_hash() -> str:
    """SHA-256 of every file of embedrt_export, in hexadecimal."""
    spec = find_spec("embedrt_export")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError('embedrt_export is not installed: type pip install "embedrt[export]"')
    place = Path(spec.submodule_search_locations[0])
    files = sorted(path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    found = hashlib.sha256()
    for path in files:
        found.update(path.relative_to(place).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
