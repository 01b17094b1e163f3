"""The tables that still come from result files of their own: ``road``, ``int8`` and ``profile``."""

from collections.abc import Callable
from typing import Any

__all__ = ["SEPARATE_TABLES", "where"]


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
        f"{result['runtime_install_megabytes']:.0f} MB. The constant matrices alone run at "
        f"{result['offline_share_of_gemm_peak']:.0%} of the float32 peak of ONNX Runtime's own matrix product "
        f"({result['gemm_peak_gflops_per_thread']:.0f} GFLOP/s a core).\n{where(result)}"
    )


def where(result: dict[str, Any]) -> str:
    """On what and when a result was measured, in a sentence."""
    machine, packages = result["machine"], result["machine"]["packages"]
    versions = ", ".join(f"{name} {packages[name]}" for name in ("onnxruntime", "torch", "sentence-transformers"))
    return (
        f"Measured {result['date']} on {machine['threads']} cores of an {machine['cpu']} (family/model "
        f"{machine['cpu_family_model']}), {versions}; rounds interleaved, medians."
    )


def _int8(result: dict[str, Any]) -> str:
    speed, single, sizes = (
        result[key] for key in ("offline_texts_per_second", "single_stream_milliseconds", "megabytes")
    )
    theirs = next(name for name in speed if name.startswith("sentence-transformers"))
    rows = [
        "| all-MiniLM-L6-v2 | MB | sentences/s | of sentence-transformers | one sentence | cosine to fp32, mean / min | STS |"
    ]
    rows += ["|---|---|---|---|---|---|---|"]
    for name, measured in speed.items():
        cosine = result["cosine_to_fp32"].get(name)
        faithful = f"{cosine['mean']:.4f} / {cosine['min']:.3f}" if cosine else ""
        change = f"{result['sts_mean_change'][name]:+.2f}" if name in result["sts_mean_change"] else ""
        rows.append(
            f"| {name} | {sizes[name]:.1f} | {measured['median']:.0f} | {measured['median'] / speed[theirs]['median']:.1f} × "
            f"| {single[name]['p50']:.1f} ms | {faithful} | {change} |"
        )
    large = result["bert_zh_64_tokens"]
    rates = [large["offline_texts_per_second"][name]["median"] for name in ("embedrt fp32", "embedrt int8")]
    return (
        "\n".join(rows)
        + "\n\nSTS: change of the mean Spearman × 100 over STS12, 13, 14 and the STS benchmark. A 12-layer, "
        f"768-wide BERT (random weights, Chinese texts of 64 tokens): int8 is {rates[1] / rates[0]:.1f} × as fast as fp32.\n"
        + where(result)
    )


def _profile(result: dict[str, Any]) -> str:
    shares = result["share_of_time"]
    names = list(dict.fromkeys(name for of in shares.values() for name in of if name != "other"))
    rows = [f"| operator | {' | '.join(shares)} |", "|---" * (len(shares) + 1) + "|"]
    for name in [*names, "other"]:
        cells = [f"{of[name]:.1%}" if name in of else "" for of in shares.values()]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows) + f"\n\nShare of the time in kernels; {result['texts']}. " + where(result)


SEPARATE_TABLES: dict[str, Callable[[dict[str, Any]], str]] = {"road": _road, "int8": _int8, "profile": _profile}
"""Markdown by the name of the result file."""
