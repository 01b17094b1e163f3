"""How a result came about, in plain words, and what to type to have it again."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

from embedrt_bench.engines.catalogue import catalogue
from embedrt_bench.models.minilm import MINILM
from embedrt_bench.report.names import REFERENCE, is_ours
from embedrt_bench.scenarios.names import SCENARIOS

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
        "down does so for everyone. Speeds are medians over the rounds; memory is the most, or the last, of them."
    ),
    "An engine's vectors were compared with the reference before its time counted.",
)
_SECTIONS = {
    "offline": "Offline (a corpus at once): {texts}; texts a second, order kept.",
    "single_stream": "Single stream: one text at a time, the next when the last is done; p50 is the time that half of the "
    "texts stay under, p99 the one that 99 of 100 stay under. Lengths are in tokens.",
    "server": "Server: texts arrive at random (Poisson), for one engine after another, once. The figure is the highest rate of "
    "arrivals at which 99 of 100 answers still come within {bound} ms.",
    "cold_start": "Start: a new process imports, loads, and encodes one text, its files being in memory from before; the peak is "
    "the most memory that it ever held.",
    "soak": "Soak: the memory of a process that has encoded many texts of mixed lengths, against the same process just warm.",
    "sizes": "Sizes: the files of the model, and what its packages take on disk.",
    "quality": "Quality: the cosine between an engine's vectors and those of {reference}, and Spearman's correlation × 100 "
    "with human judgements on STS pairs.",
    "bert_zh": "A larger model: ours on texts of one length, with random weights, after a comparison with float32.",
    "jobs": "Jobs: commands in processes of their own, from their start to their end; all pairs are compared, exactly.",
    "profile": "Where the time goes: ONNX Runtime's own profiler, on STS sentences.",
    "roofline": "Roofline: the peak is the fastest matrix product of ONNX Runtime on this machine in the same precision, "
    "measured alone on one thread; an engine's share is what the products of its constant matrices reach of it.",
}


def commands(result: Mapping[str, Any]) -> str:
    """What to type to measure the same, the model aside: where it is no MiniLM, its folders are for the reader to name."""
    settings = result["settings"]
    count = re.match(r"\d+", str(settings["texts"]))
    soaked = max((entry["texts"] for entry in result.get("soak", {}).values()), default=None)
    options = {"--texts": count[0] if count else None} | {
        f"--{name}": settings[name] for name in ("rounds", "seed", "threads")
    }
    options["--soak-texts"] = soaked
    words = [f"{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    given = " ".join([*_model(settings), *_engines(result), *_scenarios(result), *words])
    return (
        'pip install "embedrt[bench,export,demo]"\n'
        f"embedrt bench {given} --output result.json --report report.html\n"
        "embedrt bench --compare earlier.json result.json"
    )


def _model(settings: Mapping[str, Any]) -> list[str]:
    return [] if settings["model"] == MINILM else ["ARTIFACT --checkpoint", shlex.quote(str(settings["model"]))]


def _engines(result: Mapping[str, Any]) -> list[str]:
    peers = [name for name in result["engines"] if not is_ours(name)]
    if {name for name in catalogue() if not is_ours(name)} <= set(peers):
        return ["--against all"]
    return [f"--against {shlex.quote(name)}" for name in peers]


def _scenarios(result: Mapping[str, Any]) -> list[str]:
    """None where all were measured."""
    there = {*result, *(["sts"] if any("sts" in one for one in result.get("quality", {}).values()) else [])}
    names = [name for name in SCENARIOS if name in there]
    return [] if len(names) == len(SCENARIOS) else [f"--scenario {name.replace('_', '-')}" for name in names]
