"""Encoders beside each other in one process: rounds in turns, and what result files say of each."""

import gc
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from embedrt_bench.scenarios.turns import PAUSE
from embedrt_bench.texts.data import evenly, required_data_folder, sts_texts
from tqdm import tqdm

from embedrt.artifact.manifest import Manifest

__all__ = ["ORIGINAL", "fidelity", "interleaved", "megabytes", "sts_sample"]

ORIGINAL = "sentence-transformers float32"
_OURS = "embedrt "


def interleaved(
    runs: Mapping[str, Callable[[], Any]], *, rounds: int, title: str, warm_up: int = 1, repeats: int = 1
) -> dict[str, list[float]]:
    """Seconds of each run in each round, A B C A B C, behind rounds that do not count.

    Args:
        runs: what is timed, by name.
        rounds: how many count.
        title: of the progress bar.
        warm_up: how many come first.
        repeats: calls in a row that are timed together.
    """
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in tqdm(range(warm_up + rounds), desc=title, unit="round", disable=None, leave=False):
        for name, run in runs.items():
            gc.collect()
            time.sleep(PAUSE)
            began = time.perf_counter()
            for _ in range(repeats):
                run()
            if number >= warm_up:
                found[name].append((time.perf_counter() - began) / repeats)
    return found


def sts_sample(count: int) -> tuple[Path, list[str]]:
    """The folder of the STS data, and so many of its sentences, from all over its sets.

    Raises:
        InputError: the data is not there.
    """
    folder = required_data_folder()
    return folder, evenly(sts_texts(folder), count)


def megabytes(engine: str, checkpoint: Path, manifest: Manifest) -> float:
    """What the weights of an engine take: a graph's file, or the checkpoint's."""
    if engine.startswith(_OURS):
        return manifest.files[manifest.variants[engine.removeprefix(_OURS)].file].bytes / 1e6
    return sum(path.stat().st_size for path in checkpoint.rglob("*.safetensors")) / 1e6


def fidelity(engine: str, manifest: Manifest) -> dict[str, float]:
    """What the manifest says of an int8 variant; nothing of other engines."""
    variant = manifest.variants.get(engine.removeprefix(_OURS))
    if variant is None or variant.precision == "fp32":
        return {}
    return {
        "cosine_mean": variant.parity.cosine_mean,
        "cosine_min": variant.parity.cosine_min,
        **variant.parity.measures,
    }
