"""Jobs: whole commands as a user types them, each in a fresh process, from its start to its end."""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embedrt_bench.engines.cold_process import cold_run
from tqdm import tqdm

__all__ = ["jobs"]

_TOP = "100"


def jobs(
    variants: Sequence[str], sentences: Sequence[str], *, artifact: Path, checkpoint: Path, threads: int, rounds: int
) -> dict[str, Any]:
    """By engine: seconds to find the most similar pairs of ``sentences`` from a cold process, and its peak memory in megabytes.

    With ``fp32``, also the seconds that an export of ``checkpoint`` takes, its verification included.
    """
    found: dict[str, dict[str, list[float]]] = {f"embedrt {variant}": {} for variant in variants}
    with tempfile.TemporaryDirectory() as place:
        texts = Path(place) / "texts.txt"
        texts.write_text("\n".join(" ".join(text.split()) for text in sentences) + "\n", encoding="utf-8")
        turns = [variant for _ in range(rounds) for variant in variants]
        for variant in tqdm(turns, desc="jobs", unit="turn", disable=None, leave=False):
            entry = found[f"embedrt {variant}"]
            pairs = [
                "pairs",
                str(artifact),
                str(texts),
                "--top",
                _TOP,
                "--variant",
                variant,
                "-o",
                f"{place}/pairs.jsonl",
            ]
            seconds, peak = _run(pairs, threads)
            entry.setdefault("pairs_seconds", []).append(seconds)
            entry.setdefault("pairs_peak_megabytes", []).append(peak)
            if variant == "fp32":
                out = ["export", str(checkpoint), f"{place}/out", "--quiet", "--overwrite"]
                entry.setdefault("export_seconds", []).append(_run(out, threads)[0])
    return {
        name: {key: statistics.median(values) for key, values in entry.items()} | {"pairs_of": len(sentences)}
        for name, entry in found.items()
    }


def _run(arguments: Sequence[str], threads: int) -> tuple[float, float]:
    """Seconds of ``embedrt`` with these arguments, and the megabytes that it held at the most."""
    return cold_run(["-m", "embedrt", *arguments], threads=threads)
