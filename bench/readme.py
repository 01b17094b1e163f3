"""Brings the tables of the result files into README.md, between the markers that name them.

``python -m embedrt_bench.readme`` rewrites the file; with ``--check`` it only says whether it is up to date.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from embedrt_bench.results import RESULTS, read_result

__all__ = ["main", "with_tables"]

README = Path(__file__).resolve().parents[1] / "README.md"


def with_tables(text: str, results: Path = RESULTS) -> str:
    """``text`` with every block ``<!-- table: NAME -->…<!-- end -->`` made anew from ``results``/NAME.json."""

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        return f"<!-- table: {name} -->\n{_TABLES[name](read_result(results / f'{name}.json'))}\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->\n.*?<!-- end -->", replace, text, flags=re.DOTALL)


def _road(result: dict[str, Any]) -> str:
    speed, single, start = (
        result[key] for key in ("offline_texts_per_second", "single_stream_milliseconds", "cold_start")
    )
    ours, theirs = speed
    cold = [sorted(start[name]["seconds"])[len(start[name]["seconds"]) // 2] for name in (ours, theirs)]
    peak = [start[name]["peak_megabytes"] for name in (ours, theirs)]
    rows = [
        (
            "STS sentences a second",
            f"{speed[ours]['median']:.0f}",
            f"{speed[theirs]['median']:.0f}",
            result["offline_ratio"],
        ),
        (
            "one sentence of 16 tokens, median",
            f"{single[ours]['p50']:.1f} ms",
            f"{single[theirs]['p50']:.1f} ms",
            result["single_stream_ratio"],
        ),
        ("import to first vector", f"{cold[0]:.2f} s", f"{cold[1]:.2f} s", cold[1] / cold[0]),
        ("peak memory of that process", f"{peak[0]:.0f} MB", f"{peak[1]:.0f} MB", peak[1] / peak[0]),
    ]
    table = "\n".join(f"| {name} | {left} | {right} | {ratio:.1f} × |" for name, left, right, ratio in rows)
    return (
        f"| all-MiniLM-L6-v2, fp32 | embedrt | sentence-transformers | |\n|---|---|---|---|\n{table}\n\n"
        f"STS Spearman × 100: {', '.join(f'{name} {score:.2f}' for name, score in result['sts'].items())}.\n"
        f'Export with verification {result["export_seconds"]:.0f} s; `pip install "embedrt[cpu]"` adds '
        f"{result['runtime_install_megabytes']:.0f} MB.\n{_where(result)}"
    )


def _where(result: dict[str, Any]) -> str:
    machine, packages = result["machine"], result["machine"]["packages"]
    versions = ", ".join(f"{name} {packages[name]}" for name in ("onnxruntime", "torch", "sentence-transformers"))
    return (
        f"Measured {result['date']} on {machine['threads']} cores of an {machine['cpu']} (family/model "
        f"{machine['cpu_family_model']}), {versions}; rounds interleaved, medians."
    )


_TABLES: dict[str, Callable[[dict[str, Any]], str]] = {"road": _road}


def main() -> None:
    """Rewrite README.md, or check it."""
    before = README.read_text(encoding="utf-8")
    after = with_tables(before)
    if "--check" in sys.argv[1:]:
        sys.exit(0 if before == after else "README.md is not what the result files say: python -m embedrt_bench.readme")
    README.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
