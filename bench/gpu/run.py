"""``make bench-gpu``: STS texts, texts of 128 tokens, single texts, requests, pairs; ours and the other in turn.

Without a GPU it says so and ends well. Every engine lives in a process of its own and hands numpy arrays back, so that
whatever still runs on the card has ended when the clock stops; each is warmed up first.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedrt_bench.engines.peers import OWN, python_of
from embedrt_bench.engines.process import EngineProcess
from embedrt_bench.engines.right_vectors import require_right_vectors
from embedrt_bench.gpu.cards import copy_bandwidth, describe_card, matrix_rate, why_no_card
from embedrt_bench.gpu.ways import SHAPES, lines_of_ways, measure_ways
from embedrt_bench.models.cached import CACHE
from embedrt_bench.models.minilm import checkpoint_folder, exported, with_lengths, with_variants
from embedrt_bench.peaks.roofline import matrix_operations
from embedrt_bench.results import RESULTS, rounded, stamp
from embedrt_bench.scenarios.bert_zh import bert_zh_artifact, bert_zh_checkpoint, texts_of_length
from embedrt_bench.scenarios.offline import offline
from embedrt_bench.scenarios.server import server
from embedrt_bench.scenarios.single_stream import single_stream
from embedrt_bench.texts.corpus import TokenCounter, cut_to_tokens, read_corpus
from embedrt_bench.texts.data import data_folder

from embedrt.artifact.folder import locate
from embedrt.inference.session import parse_device
from embedrt.machine.threads import available_threads
from embedrt.pairs import most_similar_pairs

__all__ = ["GpuModel", "GpuSettings", "lines", "main", "measure"]

_REFERENCE = "sentence-transformers float32"
_CLOSE = 0.99
"""Worst cosine to the reference that a 16-bit engine may show before its time counts."""
_SCENARIOS = ("STS", "128 tokens")
_FLASH = "sentence-transformers float16, FlashAttention"
_TOP = 100


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


def measure(models: Sequence[GpuModel], settings: GpuSettings) -> dict[str, Any]:
    """The result: the card, its two limits, and by model and scenario what each engine reached."""
    device = settings.device
    limits = {
        "float16_gflops": matrix_rate(device, "float16", size=settings.matrix_size),
        "copy_gigabytes_per_second": copy_bandwidth(device, megabytes=settings.matrix_size // 8),
    }
    found = {model.name: _measured(model, settings, limits["float16_gflops"]) for model in models}
    reason = _why_no_flash_attention(device)
    absent = {} if reason is None else {_FLASH: reason}
    result: dict[str, Any] = rounded(
        {**stamp(), "card": describe_card(device), "limits": limits, "not measured": absent, "models": found}
    )
    return result


def _measured(model: GpuModel, settings: GpuSettings, peak: float) -> dict[str, Any]:
    with ExitStack() as stack:
        engines = [stack.enter_context(process) for process in _engines(model, settings)]
        settings_of = {engine.name: engine.load() for engine in engines}
        check = model.texts["STS"][:64]
        right = next(engine for engine in engines if engine.name == _REFERENCE).encode(check)
        for engine in engines:
            require_right_vectors(engine, check, right, _CLOSE)
        counter = TokenCounter(model.artifact)
        rates = {}
        for scenario in _SCENARIOS:
            texts = model.texts[scenario]
            tokens = sum(counter(texts))
            title = f"{model.name}, {scenario}"
            rates[scenario] = offline(engines, texts, tokens=tokens, rounds=settings.rounds, title=title)
        one = single_stream(
            engines,
            model.texts["one text"],
            rounds=settings.rounds,
            title=f"{model.name}, one text",
            seconds=settings.single_seconds,
        )
        requests = server(
            engines, model.texts["STS"], bound=settings.bound, seed=0, seconds=settings.server_seconds, halvings=3
        )
        pairs = {engine.name: _pair_seconds(engine, model.texts["pairs"], settings.rounds) for engine in engines}
    with tempfile.TemporaryDirectory() as cache:
        graph, device = locate(model.artifact, variant="fp16").graph, parse_device(settings.device)
        ways = measure_ways(graph, device, Path(cache), shapes=settings.shapes)
    operations = matrix_operations(locate(model.artifact, variant="fp32").graph)
    shares = {name: rate["tokens_per_second"] * operations / (peak * 1e9) for name, rate in rates["128 tokens"].items()}
    return {
        "engines": settings_of,
        **rates,
        "one text": one,
        "requests": {"bound_milliseconds": settings.bound, **requests},
        "pairs": {"sentences": len(model.texts["pairs"]), "seconds": pairs},
        "share of the float16 peak at 128 tokens": shares,
        "ways of fp16": ways,
    }


def _pair_seconds(engine: EngineProcess, texts: Sequence[str], rounds: int) -> float:
    """From texts to the most similar of all their pairs, the model being loaded; the median of ``rounds``."""
    vectors = engine.encode(texts)
    seconds = []
    for _ in range(rounds):
        encoding, began = engine.time(texts), time.perf_counter()
        most_similar_pairs(vectors, top=_TOP)
        seconds.append(encoding + time.perf_counter() - began)
    return statistics.median(seconds)


def _engines(model: GpuModel, settings: GpuSettings) -> list[EngineProcess]:
    ours = {f"embedrt {variant}": {"artifact": str(model.artifact), "variant": variant} for variant in ("fp32", "fp16")}
    if model.by_lengths is not None:
        ours["embedrt fp16 by lengths"] = {"artifact": str(model.by_lengths), "variant": "fp16"}
    theirs = {
        f"sentence-transformers {dtype}": {"checkpoint": str(model.checkpoint), "dtype": dtype}
        for dtype in ("float32", "float16", "bfloat16")
    }
    if _why_no_flash_attention(settings.device) is None:
        theirs[_FLASH] = {**theirs["sentence-transformers float16"], "attention": "flash_attention_2"}
    return [
        EngineProcess(
            name,
            name.partition(" ")[0],
            {**options, "device": settings.device},
            python=python_of(OWN),
            threads=settings.threads,
        )
        for name, options in {**ours, **theirs}.items()
    ]


def _why_no_flash_attention(device: str) -> str | None:
    if not device.startswith("cuda"):
        return "it runs on a card only"
    return None if importlib.util.find_spec("flash_attn") else "the package flash_attn is not installed"


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
        rows += ["", f"{name}, fp16: milliseconds of a batch", "", *lines_of_ways(model["ways of fp16"])]
    return rows


def _models(place: Path) -> list[GpuModel]:
    """MiniLM, and a 12-layer 768-wide BERT with random weights."""
    data = data_folder()
    if data is None:
        raise SystemExit("the STS files are not at hand: set EMBEDRT_DATA to the folder that holds sts-en/")
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


def main() -> None:
    """Measure, write bench/results/gpu.json, print the table; or say why there is nothing to measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS / "gpu.json")
    output: Path = parser.parse_args().output
    if (reason := why_no_card()) is not None:
        print(f"skipped: {reason}")
        return
    with tempfile.TemporaryDirectory() as place:
        result = measure(_models(Path(place)), GpuSettings(threads=available_threads()))
    output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{output}: written", file=sys.stderr)
    print("\n".join(lines(result)))


if __name__ == "__main__":
    main()
