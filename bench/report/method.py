"""How a result came about, in plain words, and what to type to have it again."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

from embedrt_bench.report.names import REFERENCE

__all__ = ["commands", "method"]


def method(result: Mapping[str, Any]) -> list[str]:
    """A sentence or two for each thing that was done, of the sections that ``result`` has."""
    settings = result["settings"]
    sentences = [text.format(threads=settings["threads"], rounds=settings["rounds"]) for text in _ALWAYS]
    return sentences + [text.format(**_words(settings)) for section, text in _SECTIONS.items() if section in result]


def _words(settings: Mapping[str, Any]) -> dict[str, str]:
    bound = settings.get("p99_bound_milliseconds", "a bound of some")
    return {"texts": settings["texts"], "reference": settings.get("reference", REFERENCE), "bound": str(bound)}


_ALWAYS = (
    (
        "Every engine ran in the way its own users run it, with the same budget of {threads} threads, tokenizers included. "
        "Engines whose packages do not go together ran in environments of their own."
    ),
    (
        "Each engine warmed up first. Then all took turns, {rounds} rounds of A, B, C, A, B, C, so that a machine that slows "
        "down does so for everyone. Figures are medians over the rounds."
    ),
    "An engine's vectors were compared with the reference before its time counted.",
)
_SECTIONS = {
    "offline": "Offline (a corpus at once): {texts}; texts a second, order kept.",
    "single_stream": "Single stream: one text at a time, the next when the last is done; p50 is the time that half of the "
    "texts stay under, p99 the one that 99 of 100 stay under. Lengths are in tokens.",
    "server": "Server: texts arrive at random (Poisson). The figure is the highest rate of arrivals at which 99 of 100 answers "
    "still come within {bound} ms.",
    "cold_start": "Start: a new process imports, loads, and encodes one text; the peak is the most memory that it ever held.",
    "soak": "Soak: the memory of a process that has encoded many texts of mixed lengths, against the same process just warm.",
    "sizes": "Sizes: the files of the model, and what its packages take on disk.",
    "quality": "Quality: the cosine between an engine's vectors and those of {reference}, and Spearman's correlation × 100 "
    "with human judgements on STS pairs.",
    "jobs": "Jobs: commands in processes of their own, from their start to their end; all pairs are compared, exactly.",
    "profile": "Where the time goes: ONNX Runtime's own profiler, on STS sentences.",
    "roofline": "Roofline: the peak is the fastest matrix product of ONNX Runtime on this machine in the same precision, "
    "measured alone on one thread; an engine's share is what the products of its constant matrices reach of it.",
}


def commands(result: Mapping[str, Any]) -> str:
    """What to type to measure the same."""
    settings = result["settings"]
    count = re.match(r"\d+", str(settings["texts"]))
    options = {"--texts": count[0] if count else None} | {
        f"--{name}": settings[name] for name in ("rounds", "seed", "threads")
    }
    given = " ".join(f"{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None)
    return (
        'pip install "embedrt[bench,export]"\n'
        f"embedrt bench --against all {given} --output result.json --report report.html\n"
        "embedrt bench --compare earlier.json result.json"
    )
