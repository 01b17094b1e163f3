"""``python -m embedrt_bench.serving.run``: everything measured, into bench/results/serving.json and docs/serving.md."""

import argparse
import random
import socket
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedrt_bench.command import errors_told, part_of
from embedrt_bench.models.minilm import exported, with_variants
from embedrt_bench.results import read_result, with_part, write_result
from embedrt_bench.serving import scenarios
from embedrt_bench.serving.infinity import measure_infinity
from embedrt_bench.serving.load import bodies_file, require_wrk
from embedrt_bench.serving.process import started
from embedrt_bench.serving.stacks import measure_stacks
from embedrt_export.quantization import Precision

from embedrt import SentenceEncoder
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["PARTS", "main", "measure", "texts_of"]

_ROUNDS = 3
PARTS = ("stacks", "load", "endurance", "infinity")
MODEL = "minilm"
VARIANT: Precision = "int8"
_TOKENS = 16
_WORDS = (
    *("the", "cat", "sat", "on", "a", "warm", "roof", "and", "how", "do", "we", "reset", "my", "old", "password"),
    *("for", "this", "big", "house", "today", "with", "some", "new", "people"),
)


def texts_of(count: int, *, tokenizer: TextTokenizer, tokens: int = _TOKENS, seed: int = 0) -> list[str]:
    """Different texts of exactly ``tokens`` tokens, special ones included."""
    chosen = random.Random(seed)
    found: list[str] = []
    while len(found) < count:
        drafts = [" ".join(chosen.choices(_WORDS, k=tokens - 2)) for _ in range(count)]
        lengths = tokenizer.encode(drafts).lengths
        found += [draft for draft, length in zip(drafts, lengths, strict=True) if length == tokens]
    return found[:count]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What every part measures with."""

    folder: Path
    texts: list[str]
    single: Path
    """Bodies of a text each."""
    many: Path
    """Bodies of 32 texts each."""
    scale: float
    """Of all durations."""


def measure(folder: Path, parts: Sequence[str] = PARTS, *, scale: float = 1.0) -> dict[str, Any]:
    """The figures of these parts; ``scale`` shortens them."""
    require_wrk()
    texts = texts_of(4096, tokenizer=TextTokenizer(folder / "tokenizer.json"))
    groups = [texts[start : start + 32] for start in range(0, len(texts), 32)]
    with tempfile.TemporaryDirectory() as scratch:
        given = _Given(
            folder=folder,
            texts=texts,
            single=bodies_file(Path(scratch) / "single", [[text] for text in texts], model=MODEL, many=False),
            many=bodies_file(Path(scratch) / "many", groups, model=MODEL, many=True),
            scale=scale,
        )
        found: dict[str, Any] = {"tokens_per_text": _TOKENS, "variant": VARIANT}
        for part in parts:
            found |= _MEASURED[part](given)
        return found


def _stacks(given: _Given) -> dict[str, Any]:
    return {"stacks": measure_stacks(given.single, port=_free_port(), rounds=max(1, round(3 * given.scale)))}


def _load(given: _Given) -> dict[str, Any]:
    """The server and ``encode`` in turns, since others may use the machine for a while: shares are of the turns beside."""
    port = _free_port()
    single: list[dict[str, Any]] = []
    many: list[dict[str, Any]] = []
    encoded: list[dict[str, float]] = []
    with (
        SentenceEncoder(given.folder, variant=VARIANT) as encoder,
        started(_command(given, port), port=port) as server,
    ):
        waiting = scenarios.latency(server, encoder, given.texts[:1000], model=MODEL)
        encoded.append(scenarios.offline(encoder, given.texts, seconds=4))
        for _ in range(_ROUNDS):
            single.append(scenarios.throughput(server, given.single, clients=64, texts=1, seconds=20 * given.scale))
            encoded.append(scenarios.offline(encoder, given.texts, seconds=4))
            many.append(scenarios.throughput(server, given.many, clients=8, texts=32, seconds=8 * given.scale))
            encoded.append(scenarios.offline(encoder, given.texts, seconds=4))
    return {
        "latency_milliseconds": waiting,
        "offline": encoded,
        "single": _beside(single, encoded[::2], encoded[1::2]),
        "many": _beside(many, encoded[1::2], encoded[2::2]),
    }


def _beside(
    rounds: list[dict[str, Any]], before: list[dict[str, float]], after: list[dict[str, float]]
) -> dict[str, Any]:
    """Sums of counts, medians of rates, the worst percentile; shares of what ``encode`` gave before and after each round."""
    for seen, first, last in zip(rounds, before, after, strict=False):
        seen["share_of_offline"] = 2 * seen["texts_per_second"] / (first["per_second"] + last["per_second"])
        encoding = (first["cpu_milliseconds"] + last["cpu_milliseconds"]) / 2
        seen["cpu_milliseconds_above_encoding"] = seen["texts_per_request"] * (
            seen["cpu_milliseconds_per_text"] - encoding
        )
    sums = {name: sum(seen[name] for seen in rounds) for name in ("requests", "seconds", "refused", "broken")}
    rates = (
        "p50",
        "texts_per_second",
        "share_of_offline",
        "cpu_milliseconds_per_text",
        "cpu_milliseconds_above_encoding",
    )
    medians = {name: statistics.median(seen[name] for seen in rounds) for name in rates}
    return sums | medians | {"p99": max(seen["p99"] for seen in rounds), "rounds": rounds}


def _endurance(given: _Given) -> dict[str, Any]:
    port = _free_port()
    with started([*_command(given, port), "--log-level", "warning"], port=port) as server:
        return {
            "idle_percent": scenarios.idle(server),
            "overload": scenarios.overload(server, given.single, clients=2000, seconds=10 * given.scale, model=MODEL),
            "soak": scenarios.soak(server, given.single, requests=round(100_000 * given.scale)),
        }


def _infinity(given: _Given) -> dict[str, Any]:
    """infinity-emb, and ours in the same minutes: in float32, as it runs, and in int8."""
    seconds = 20 * given.scale
    ours = {}
    for variant in ("fp32", VARIANT):
        port = _free_port()
        with started(_command(given, port, variant=variant), port=port) as server:
            ours[variant] = {
                "single": scenarios.throughput(server, given.single, clients=64, texts=1, seconds=seconds),
                "many": scenarios.throughput(server, given.many, clients=8, texts=32, seconds=seconds),
            }
    found = measure_infinity(given.single, given.many, port=_free_port(), model=MODEL, seconds=seconds)
    return {"infinity": found, "beside_infinity": ours}


def _command(given: _Given, port: int, *, variant: str = VARIANT) -> list[str]:
    named = [f"{MODEL}={given.folder}", "--variant", variant, "--port", str(port)]
    return [sys.executable, "-m", "embedrt", "serve", *named]


_MEASURED: dict[str, Callable[[_Given], dict[str, Any]]] = {
    "stacks": _stacks,
    "load": _load,
    "endurance": _endurance,
    "infinity": _infinity,
}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@errors_told()
def main() -> None:
    """Measure the parts that are named, all without names; the figures of the others stay as they were, with their day."""
    from embedrt_bench.serving.tables import DOCUMENT, RESULT, with_tables

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", type=part_of(PARTS), help="what to measure; everything without it")
    parser.add_argument("--scale", type=float, default=1.0, help="of all durations")
    asked = parser.parse_args()
    folder = with_variants(exported()[0], (VARIANT,))
    for part in asked.parts or PARTS:
        before = read_result(RESULT) if RESULT.is_file() else {}
        write_result(RESULT, with_part(before, part, measure(folder, [part], scale=asked.scale), parts=PARTS))
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
