"""The tables of docs/serving.md, made from bench/results/serving.json."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from embedrt_bench.documents import DOCS, processor, said_of_parts, with_blocks
from embedrt_bench.results import RESULTS, read_result

__all__ = ["DOCUMENT", "RESULT", "with_tables"]

DOCUMENT, RESULT = DOCS / "serving.md", RESULTS / "serving.json"


def with_tables(text: str, result: Path = RESULT) -> str:
    """``text`` with every block ``<!-- serving: NAME -->…<!-- end -->`` made anew."""
    measured = read_result(result)

    def made(block: str) -> str:
        needed, table = _TABLES[block]
        return table(measured) if needed <= measured.keys() else "Not measured yet: make bench-serving."

    return with_blocks(text, "serving", made)


def _stacks(measured: dict[str, Any]) -> str:
    rows = sorted(measured["stacks"].items(), key=lambda entry: float(entry[1]["cpu_milliseconds"]))
    lines = ["| stack | CPU a request, ms | requests/s |", "|---|---:|---:|"]
    lines += [f"| {_bold(name)} | {row['cpu_milliseconds']:.3f} | {row['per_second']:,.0f} |" for name, row in rows]
    return "\n".join([*lines, "", _where(measured, "stacks")])


def _bold(name: str) -> str:
    return f"**{name}**" if name.startswith("embedrt") else name


def _load(measured: dict[str, Any]) -> str:
    single, many, soak, flood = (measured[name] for name in ("single", "many", "soak", "overload"))
    wait = measured["latency_milliseconds"]
    failed, asked = single["refused"] + single["broken"], single["requests"]
    answered = flood["requests"] - flood["refused"]
    rows = [
        ("64 clients, a text each: of offline `encode`", "≥ 55 %", _share(single)),
        ("… 99th percentile", "≤ 120 ms", f"{1e3 * single['p99']:.0f} ms"),
        ("… errors", "0", f"{failed} of {asked:,} in {single['seconds']:.0f} s"),
        ("… CPU a request above encoding", "≤ 0.25 ms", f"{single['cpu_milliseconds_above_encoding']:.2f} ms"),
        ("8 clients, 32 texts a request: of offline `encode`", "≥ 85 %", _share(many)),
        (
            "one client, one text: above `encode`",
            "≤ 1.5 ms",
            f"{wait['above']:.2f} ms ({wait['served']:.2f} beside {wait['encoded']:.2f})",
        ),
        ("idle", "< 1 % CPU", f"{measured['idle_percent']:.2f} %"),
        (
            "memory",
            "± 5 %",
            f"{soak['growth']:+.1%} over {soak['requests']:,} requests, {soak['last_bytes'] / 1e6:.0f} MB",
        ),
        (
            f"{flood['clients']:,} clients at once",
            "429s, no hang",
            f"{flood['refused']:,} × 429, {answered:,} answered, {flood['broken']} broken",
        ),
        ("… served again after", "≤ 1 s", f"{flood['recovery_seconds']:.2f} s"),
    ]
    lines = ["| | to reach | measured |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join([*lines, "", _where(measured, "load", "endurance")])


def _peer(measured: dict[str, Any]) -> str:
    peer = measured["infinity"]
    if "not_measured" in peer:
        return f"infinity-emb was not measured: {peer['not_measured']}."
    lines = [
        "| | 64 clients, a text each | … 99th percentile | 8 clients, 32 texts a request |",
        "|---|---:|---:|---:|",
    ]
    ours = {f"**embedrt serve, {variant}**": found for variant, found in measured["beside_infinity"].items()}
    for name, found in {**ours, f"infinity-emb {peer['version']}, {peer['engine']}": peer}.items():
        single, many = found["single"], found["many"]
        lines.append(
            f"| {name} | {single['texts_per_second']:,.0f} texts/s | {1e3 * single['p99']:.0f} ms "
            f"| {many['texts_per_second']:,.0f} texts/s |"
        )
    return "\n".join([*lines, "", _where(measured, "infinity", model="MiniLM")])


def _share(measured: dict[str, Any]) -> str:
    return f"{measured['share_of_offline']:.0%} ({measured['texts_per_second']:,.0f} texts/s)"


def _where(measured: dict[str, Any], *parts: str, model: str | None = None) -> str:
    """When and on what ``parts`` were measured."""

    def sentence(whole: dict[str, Any]) -> str:
        machine = whole["machine"]
        return (
            f"Measured {whole['date']} on {machine['threads']} processors of an {processor(whole)}, "
            f"which the client shares; {model or measured['variant'] + ' MiniLM'}, texts of "
            f"{measured['tokens_per_text']} tokens; onnxruntime {machine['packages']['onnxruntime']}."
        )

    return said_of_parts(measured, parts, sentence)


_TABLES: dict[str, tuple[frozenset[str], Callable[[dict[str, Any]], str]]] = {
    "stacks": (frozenset(["stacks"]), _stacks),
    "load": (frozenset(["latency_milliseconds", "single", "many", "idle_percent", "overload", "soak"]), _load),
    "peer": (frozenset(["infinity", "beside_infinity"]), _peer),
}
"""What each is made of, and how."""


def main() -> None:
    """Rewrite the tables, or with ``--check`` say whether they are what the result file says."""
    before = DOCUMENT.read_text(encoding="utf-8")
    after = with_tables(before)
    if "--check" not in sys.argv[1:]:
        DOCUMENT.write_text(after, encoding="utf-8")
    elif before != after:
        sys.exit("docs/serving.md is not what the result file says: python -m embedrt_bench.serving.tables")


if __name__ == "__main__":
    main()
