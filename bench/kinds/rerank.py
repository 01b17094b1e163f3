"""``make bench-rerank``: a cross-encoder beside sentence-transformers, in turns on the same pairs; docs/reranking.md's tables.

The model is :mod:`embedrt_bench.models.reranker`'s, 6 layers 384 wide. Two lists of 32 documents for one query: every pair of 128
tokens, and pairs of 24 to 232 tokens (128 in the mean). All engines run in one process on the same number of threads,
each turn behind a pause, and their scores are compared before anything is timed.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from embedrt_bench.command import errors_told, measuring
from embedrt_bench.documents import DOCS, heading, line, processor, versions, with_blocks
from embedrt_bench.kinds.agreement import require_equal
from embedrt_bench.kinds.beside import ORIGINAL, interleaved
from embedrt_bench.models.reranker import artifact, checkpoint
from embedrt_bench.results import RESULTS, read_result, write_result
from embedrt_bench.texts.data import required_data_folder, sts_benchmark, sts_texts
from scipy.stats import spearmanr
from sentence_transformers import CrossEncoder as OriginalCrossEncoder

from embedrt import CrossEncoder
from embedrt.artifact.manifest import MANIFEST_FILE, Manifest
from embedrt.inference.layout import default_layout
from embedrt.machine.threads import available_threads
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["DOCUMENT", "main", "with_tables"]

DOCUMENT = DOCS / "reranking.md"
_RESULT = RESULTS / "rerank.json"
_VARIANTS = ("fp32", "int8", "int8-static")
_QUERY = "how do glaciers move down a valley"
_DOCUMENTS, _TOKENS = 32, 128
_WARMUP = 2

Score = Callable[[list[tuple[str, str]]], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One list of pairs."""

    name: str
    pairs: list[tuple[str, str]]
    tokens: list[int]
    """Of each pair, special ones included."""


@errors_told()
def main() -> None:
    """Measure, write the result, and bring its tables into the document unless it goes elsewhere; ``--tables``: only the last."""
    parser = measuring(__doc__, output=_RESULT, rounds=15)
    parser.add_argument("--tables", action="store_true", help="write the tables of the last result")
    asked = parser.parse_args()
    if not asked.tables:
        write_result(asked.output, _measured(asked.rounds))
    if asked.output == _RESULT:
        DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


def _measured(rounds: int) -> dict[str, Any]:
    sts = required_data_folder()
    threads = available_threads()
    torch.set_num_threads(threads)
    folder = artifact(sts, ("int8", "int8-static"))
    engines = _engines(checkpoint(sts), folder, threads)
    tokenizer = TextTokenizer(folder / "tokenizer.json")
    scenarios = [
        _scenario("uniform", [_TOKENS] * _DOCUMENTS, sts, tokenizer),
        _scenario("mixed", np.linspace(24, 232, _DOCUMENTS).astype(int).tolist(), sts, tokenizer),
    ]
    return {
        "threads": threads,
        "rounds": rounds,
        "speed": {scenario.name: _timed(scenario, engines, rounds) for scenario in scenarios},
        "fidelity": _fidelity(engines, folder, sts),
        "tokenizing_milliseconds": 1e3 * _tokenizing(scenarios[0], tokenizer),
    }


def _engines(original: Path, folder: Path, threads: int) -> dict[str, Score]:
    model = OriginalCrossEncoder(str(original), device="cpu")
    ours = {name: CrossEncoder(folder, variant=name, layout=default_layout(threads)) for name in _VARIANTS}

    def as_original(pairs: list[tuple[str, str]]) -> npt.NDArray[np.float32]:
        scores: npt.NDArray[np.float32] = model.predict(pairs, batch_size=32, show_progress_bar=False)
        return scores

    def by(reranker: CrossEncoder) -> Score:
        return lambda pairs: np.asarray(reranker.predict(pairs))

    return {ORIGINAL: as_original, **{f"embedrt {name}": by(reranker) for name, reranker in ours.items()}}


def _scenario(name: str, lengths: Sequence[int], sts: Path, tokenizer: TextTokenizer) -> Scenario:
    """Pairs of exactly so many tokens, their documents real sentences whose words are whole pieces."""
    words = iter(_whole_words(sts, tokenizer))
    overhead = int(tokenizer.encode_pairs([(_QUERY, "")], with_types=False).lengths[0])
    pairs = [(_QUERY, " ".join(next(words) for _ in range(length - overhead))) for length in lengths]
    found = tokenizer.encode_pairs(pairs, with_types=False).lengths.tolist()
    if found != list(lengths):
        raise AssertionError(f"the pairs have {found} tokens, {list(lengths)} were wanted")
    return Scenario(name, pairs, found)


def _whole_words(sts: Path, tokenizer: TextTokenizer) -> list[str]:
    words = " ".join(sts_texts(sts)[::7]).lower().split()
    one_piece = {
        word: length == 3 and word.isalpha()  # the two special tokens and itself
        for word, length in zip(set(words), tokenizer.encode(list(set(words))).lengths, strict=True)
    }
    return [word for word in words if one_piece[word]]


def _timed(scenario: Scenario, engines: dict[str, Score], rounds: int) -> dict[str, Any]:
    """Milliseconds a list of pairs, by engine: A B C D A B C D …, medians."""
    _require_agreement(scenario, engines)
    runs = {name: partial(score, scenario.pairs) for name, score in engines.items()}
    seconds = interleaved(runs, rounds=rounds, title=f"Reranking, {scenario.name}", warm_up=_WARMUP)
    original = np.array(seconds[ORIGINAL])
    return {
        "pairs": len(scenario.pairs),
        "tokens": sum(scenario.tokens),
        "engines": {
            name: {
                "milliseconds": 1e3 * float(np.median(taken)),
                "ratio": float(np.median(original / np.array(taken))),
                "seconds": taken,
            }
            for name, taken in seconds.items()
        },
    }


def _require_agreement(scenario: Scenario, engines: dict[str, Score]) -> None:
    """A time counts only where the scores are the model's; differences are in standard deviations of them."""
    expected = engines[ORIGINAL](scenario.pairs)
    spread = expected.std()
    for name, score in engines.items():
        require_equal(name, score(scenario.pairs) / spread, expected / spread, at_most=1e-3 if "fp32" in name else 1.0)


def _fidelity(engines: dict[str, Score], folder: Path, sts: Path) -> dict[str, Any]:
    """Spearman × 100 with the gold scores of the STS benchmark's test split, and what the manifest says of each variant."""
    pairs = sts_benchmark(sts)
    texts = list(zip(pairs.first, pairs.second, strict=True))
    variants = Manifest.from_json((folder / MANIFEST_FILE).read_bytes()).variants
    found: dict[str, Any] = {}
    for name, score in engines.items():
        entry: dict[str, Any] = {"stsb_test": 100 * float(spearmanr(score(texts), pairs.gold).statistic)}
        variant = variants.get(name.removeprefix("embedrt "))
        if variant is not None:
            entry |= {
                "measures": variant.parity.measures,
                "sts_change": variant.parity.sts_change,
                "bytes": (folder / variant.file).stat().st_size,
            }
        found[name] = entry
    return found


def _tokenizing(scenario: Scenario, tokenizer: TextTokenizer) -> float:
    """Seconds that the tokens of a list of pairs take, the median of some."""
    taken = []
    for _ in range(9):
        began = time.perf_counter()
        tokenizer.encode_pairs(scenario.pairs, with_types=True)
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))


def with_tables(text: str, result: Path = _RESULT) -> str:
    """``text`` with every block ``<!-- rerank: NAME -->…<!-- end -->`` made anew."""
    measured = read_result(result)
    return with_blocks(text, "rerank", lambda name: _TABLES[name](measured))


def _speed_table(measured: dict[str, Any]) -> str:
    uniform, mixed = (measured["speed"][name]["engines"] for name in ("uniform", "mixed"))
    uniform_heads = (f"{_DOCUMENTS} × {_TOKENS} tokens, ms", f"× {ORIGINAL}")
    lines = heading(["Engine", *uniform_heads, f"{_DOCUMENTS} × 24 to 232 tokens, ms", "×"])
    for name in uniform:
        cells = [f"{one['milliseconds']:.0f} | {one['ratio']:.2f} ×" for one in (uniform[name], mixed[name])]
        row = f"| {name} | {' | '.join(cells)} |"
        lines.append(row if name == ORIGINAL else re.sub(r"(?<=\| )([^|]+?)(?= \|)", r"**\1**", row))
    return "\n".join([*lines, "", _where(measured)])


def _fidelity_table(measured: dict[str, Any]) -> str:
    correlations = ("Rank correlation", "Pearson", "STS benchmark, Spearman")
    lines = heading(["Engine", "Graph, MB", *correlations, "STS sets, change", "nDCG@10, change"])
    for name, found in measured["fidelity"].items():
        measures, size = found.get("measures", {}), found.get("bytes")
        cells = [
            name,
            f"{size / 1e6:.1f}" if size else "–",
            *(f"{measures[key]:.4f}" if key in measures else "–" for key in ("spearman", "pearson")),
            f"{found['stsb_test']:.2f}",
            f"{found['sts_change']['mean']:+.2f}" if found.get("sts_change") else "–",
            f"{measures['ndcg_change']:+.2f}" if "ndcg_change" in measures else "–",
        ]
        lines.append(line(cells))
    return "\n".join([*lines, "", _where(measured)])


def _where(measured: dict[str, Any]) -> str:
    return (
        f"Measured {measured['date']} on {measured['threads']} cores of an {processor(measured)}, {versions(measured)}; "
        f"{measured['rounds']} rounds in turns, medians."
    )


_TABLES: dict[str, Callable[[dict[str, Any]], str]] = {"speed": _speed_table, "fidelity": _fidelity_table}


if __name__ == "__main__":
    main()
