"""``make bench-gpu``: STS texts, texts of 128 tokens, single texts, requests, pairs; ours and the other in turn.

Without a GPU it says so and ends well. Every engine lives in a process of its own and hands numpy arrays back, so that
whatever still runs on the card has ended when the clock stops; each is warmed up first. One that fails, or gives other
vectors than the reference, is listed with its reason. What was measured until an interruption is in ``gpu.partial.json``.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedrt_bench.command import errors_told, file_to_write
from embedrt_bench.engines.process import Engine
from embedrt_bench.gpu.cards import copy_bandwidth, describe_card, matrix_rate, why_no_card
from embedrt_bench.gpu.lineup import FLASH, GpuLineup, engines_of, why_no_flash_attention
from embedrt_bench.gpu.ways import SHAPES, lines_of_ways, measure_ways
from embedrt_bench.models.cached import CACHE
from embedrt_bench.models.minilm import checkpoint_folder, exported, with_lengths, with_variants
from embedrt_bench.peaks.roofline import matrix_operations
from embedrt_bench.results import RESULTS, rounded, stamp, without
from embedrt_bench.scenarios.bert_zh import bert_zh_artifact, bert_zh_checkpoint, texts_of_length
from embedrt_bench.scenarios.offline import offline
from embedrt_bench.scenarios.server import server
from embedrt_bench.scenarios.single_stream import single_stream
from embedrt_bench.scenarios.turns import take_turns
from embedrt_bench.texts.corpus import TokenCounter, cut_to_tokens, read_corpus
from embedrt_bench.texts.data import required_data_folder

from embedrt.artifact.folder import locate
from embedrt.inference.session import parse_device
from embedrt.machine.threads import available_threads
from embedrt.pairs import most_similar_pairs

__all__ = ["GpuModel", "GpuSettings", "lines", "main", "measure"]

_SCENARIOS = ("STS", "128 tokens")
_CHECKED = 2048
"""Texts whose vectors have to be right before anything is timed: more than a batch holds, lest it mix up their order."""
_TOP = 100
Section = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuModel:
    """A model that is measured: the checkpoint and its artifact with the variants fp32 and fp16."""

    name: str
    checkpoint: Path
    artifact: Path
    texts: Mapping[str, Sequence[str]]
    """By scenario: ``STS`` (requests draw from them too), ``128 tokens``, ``one text``, ``pairs``."""
    by_lengths: Path | None = None
    """The artifact once more, with attention by lengths in its fp16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSettings:
    """Where, and how often."""

    device: str = "cuda"
    rounds: int = 3
    threads: int
    """For tokenization."""
    matrix_size: int = 8192
    bound: float = 10.0
    """Milliseconds within which 99 of 100 requests are to be answered."""
    single_seconds: float = 1.0
    """Of a turn of single texts."""
    server_seconds: float = 4.0
    """Of a trial of one rate of requests."""
    shapes: Sequence[tuple[int, int]] = SHAPES
    """(batch, sequence) of the batches that are handed over in several ways."""


def measure(
    models: Sequence[GpuModel], settings: GpuSettings, *, keep: Callable[[Section], None] = lambda result: None
) -> Section:
    """The result: the card, its two limits, and by model and scenario what each engine reached.

    ``keep`` gets it after each model.

    Raises:
        EngineError: the engine that vectors are compared with cannot be loaded.
    """
    device = settings.device
    limits = {
        "float16_gflops": matrix_rate(device, "float16", size=settings.matrix_size),
        "copy_gigabytes_per_second": copy_bandwidth(device, megabytes=settings.matrix_size // 8),
    }
    reason = why_no_flash_attention(device)
    absent = {} if reason is None else {FLASH: reason}
    found: dict[str, Section] = {}
    result: Section = {}
    for model in models:
        found[model.name] = _measured(model, settings, limits["float16_gflops"])
        whole = {**stamp(), "card": describe_card(device), "limits": limits, "not measured": absent, "models": found}
        result = rounded(whole)
        keep(result)
    return result


def _measured(model: GpuModel, settings: GpuSettings, peak: float) -> Section:
    engines = engines_of(model.checkpoint, model.artifact, model.by_lengths, device=settings.device)
    with GpuLineup(engines, threads=settings.threads) as lineup:
        lineup.open(model.texts["STS"][:_CHECKED])
        found = {name: lineup.measure(scenario) for name, scenario in _scenarios(model, settings, lineup).items()}
    with tempfile.TemporaryDirectory() as cache:
        graph, device = locate(model.artifact, variant="fp16").graph, parse_device(settings.device)
        ways = measure_ways(graph, device, Path(cache), shapes=settings.shapes)
    operations = matrix_operations(locate(model.artifact, variant="fp32").graph)
    rates = found["128 tokens"]
    shares = {name: rate["tokens_per_second"] * operations / (peak * 1e9) for name, rate in rates.items()}
    kept: Section = without({**found, "share of the float16 peak at 128 tokens": shares}, {*lineup.reasons})
    return {"engines": lineup.settings, "not measured": lineup.reasons, **kept, "ways of fp16": ways}


def _scenarios(model: GpuModel, settings: GpuSettings, lineup: GpuLineup) -> dict[str, Callable[[], Section]]:
    """What is measured of a model, in its order."""
    counter, rounds, running = TokenCounter(model.artifact), settings.rounds, lineup.running
    one, pairs = model.texts["one text"], model.texts["pairs"]

    def corpus(scenario: str) -> Callable[[], Section]:
        texts, title = model.texts[scenario], f"{model.name}, {scenario}"
        return lambda: offline(running, texts, tokens=sum(counter(texts)), rounds=rounds, title=title)

    def requests() -> Section:
        bound, seconds = settings.bound, settings.server_seconds
        found = server(running, model.texts["STS"], bound=bound, seed=0, seconds=seconds, halvings=3)
        return {"bound_milliseconds": bound, **found}

    return {
        **{scenario: corpus(scenario) for scenario in _SCENARIOS},
        "one text": lambda: single_stream(
            running, one, rounds=rounds, title=f"{model.name}, one text", seconds=settings.single_seconds
        ),
        "requests": requests,
        "pairs": lambda: {"sentences": len(pairs), **_pair_seconds(running, pairs, rounds, f"{model.name}, pairs")},
    }


def _pair_seconds(engines: Sequence[Engine], texts: Sequence[str], rounds: int, title: str) -> Section:
    """From texts to the most similar of all their pairs, the model being loaded: by engine the median, and all rounds."""
    vectors = {engine.name: engine.encode(texts) for engine in engines}
    runs: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for engine in take_turns(engines, rounds, title):
        encoding, began = engine.time(texts), time.perf_counter()
        most_similar_pairs(vectors[engine.name], top=_TOP)
        runs[engine.name].append(encoding + time.perf_counter() - began)
    return {"seconds": {name: statistics.median(found) for name, found in runs.items()}, "runs": runs}


def lines(result: dict[str, Any]) -> list[str]:
    """The result as a table for the terminal and for documents, in Markdown."""
    columns = (
        "model",
        "engine",
        "STS texts/s",
        "128 tokens, texts/s",
        "one text, p50 ms",
        "requests/s",
        "all pairs, s",
        "share of the fp16 peak",
    )
    rows = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for name, model in result["models"].items():
        shares = model["share of the float16 peak at 128 tokens"]
        for engine in model["engines"]:
            sts, long = (model[key][engine]["texts_per_second"]["median"] for key in _SCENARIOS)
            p50, rate = model["one text"][engine]["p50"], model["requests"][engine]["requests_per_second"]
            rows.append(
                f"| {name} | {engine} | {sts:.0f} | {long:.0f} | {p50:.2f} | {rate:.0f} "
                f"| {model['pairs']['seconds'][engine]:.2f} | {shares[engine]:.0%} |"
            )
    for name, model in result["models"].items():
        reasons = {**result["not measured"], **model["not measured"]}
        if reasons:
            rows += ["", f"{name}, not measured: " + "; ".join(f"{engine}: {reasons[engine]}" for engine in reasons)]
        rows += ["", f"{name}, fp16: milliseconds of a batch", "", *lines_of_ways(model["ways of fp16"])]
    return rows


def _models(place: Path) -> list[GpuModel]:
    """MiniLM, and a 12-layer 768-wide BERT with random weights."""
    splits = ("test", "valid", "train")
    data = required_data_folder("vocab/bert-base-chinese.txt", *(f"sts-zh/STS-B.{split}.tsv" for split in splits))
    minilm = with_variants(exported()[0], ("fp16",))
    bert, checkpoint = bert_zh_artifact(data, CACHE / "bert-zh", ("fp16",)), bert_zh_checkpoint(data, place)
    corpus, counter = read_corpus(data, 20_000, seed=0), TokenCounter(minilm)
    english = {
        "STS": corpus.sentences,
        "128 tokens": cut_to_tokens(corpus, counter, 128, texts=2000),
        "one text": cut_to_tokens(corpus, counter, 16, texts=50),
        "pairs": corpus.sentences[:10_000],
    }
    chinese = {
        "STS": texts_of_length(data, bert, tokens=16, count=2000),
        "128 tokens": texts_of_length(data, bert, tokens=128, count=500),
        "one text": texts_of_length(data, bert, tokens=16, count=50),
        "pairs": texts_of_length(data, bert, tokens=16, count=2000),
    }
    return [
        GpuModel(
            name="MiniLM",
            checkpoint=checkpoint_folder(),
            artifact=minilm,
            texts=english,
            by_lengths=with_lengths(minilm, place / "minilm"),
        ),
        GpuModel(
            name="BERT, 12 layers, 768 wide",
            checkpoint=checkpoint,
            artifact=bert,
            texts=chinese,
            by_lengths=with_lengths(bert, place / "bert"),
        ),
    ]


@errors_told()
def main() -> None:
    """Measure, write bench/results/gpu.json, print the table; or say why there is nothing to measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=file_to_write, default=RESULTS / "gpu.json")
    output: Path = parser.parse_args().output
    if (reason := why_no_card()) is not None:
        print(f"skipped: {reason}")
        return
    partial = output.with_suffix(".partial.json")
    with tempfile.TemporaryDirectory() as place:
        settings = GpuSettings(threads=available_threads())
        result = measure(_models(Path(place)), settings, keep=lambda found: _write(partial, found))
    _write(output, result)
    partial.unlink()
    print("\n".join(lines(result)))


def _write(path: Path, result: Section) -> None:
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path}: written", file=sys.stderr)


if __name__ == "__main__":
    main()
