"""``python -m embedrt_bench.serving.run``: everything measured, into bench/results/serving.json and docs/serving.md."""

import random
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from embedrt_bench.minilm import exported, with_variants
from embedrt_bench.results import RESULTS, rounded, write_result
from embedrt_bench.serving import scenarios
from embedrt_bench.serving.infinity import measure_infinity
from embedrt_bench.serving.load import bodies_file, require_wrk
from embedrt_bench.serving.process import started
from embedrt_bench.serving.stacks import measure_stacks

from embedrt import SentenceEncoder
from embedrt.text import TextTokenizer

__all__ = ["main", "measure", "texts_of"]

MODEL, VARIANT = "minilm", "int8"
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


def measure(folder: Path, *, scale: float = 1.0) -> dict[str, Any]:
    """Everything that is measured; ``scale`` shortens it."""
    require_wrk()
    texts = texts_of(4096, tokenizer=TextTokenizer(folder / "tokenizer.json"))
    with tempfile.TemporaryDirectory() as scratch:
        single = bodies_file(Path(scratch) / "single", [[text] for text in texts], model=MODEL, many=False)
        groups = [texts[start : start + 32] for start in range(0, len(texts), 32)]
        many = bodies_file(Path(scratch) / "many", groups, model=MODEL, many=True)
        return {
            "stacks": measure_stacks(single, port=_free_port(), rounds=max(1, round(3 * scale))),
            **_served(folder, texts, single, many, scale),
            "infinity": measure_infinity(single, many, port=_free_port(), model=MODEL, scale=scale),
        }


def _served(folder: Path, texts: list[str], single: Path, many: Path, scale: float) -> dict[str, Any]:
    port = _free_port()
    command = [sys.executable, "-m", "embedrt", "serve", f"{MODEL}={folder}", "--variant", VARIANT, "--port", str(port)]
    found: dict[str, Any] = {"tokens_per_text": _TOKENS, "variant": VARIANT}
    with SentenceEncoder(folder, variant=VARIANT) as encoder:
        found["offline"] = scenarios.offline(encoder, texts)
        with started(command, port=port) as server:
            found["latency_milliseconds"] = scenarios.latency(server, encoder, texts[:1000], model=MODEL)
            found["single"] = scenarios.throughput(server, single, clients=64, texts=1, seconds=60 * scale)
            found["many"] = scenarios.throughput(server, many, clients=8, texts=32, seconds=20 * scale)
        found["offline_again"] = scenarios.offline(encoder, texts)
    _compare(found)
    with started([*command, "--log-level", "warning"], port=port) as server:
        found["idle_percent"] = scenarios.idle(server)
        found["overload"] = scenarios.overload(server, single, clients=2000, seconds=10 * scale, model=MODEL)
        found["soak"] = scenarios.soak(server, single, requests=round(100_000 * scale))
    return found


def _compare(found: dict[str, Any]) -> None:
    """Shares of offline encoding, which was measured before and after."""
    reference = (found["offline"]["per_second"] + found["offline_again"]["per_second"]) / 2
    encoding = (found["offline"]["cpu_milliseconds"] + found["offline_again"]["cpu_milliseconds"]) / 2
    for name in ("single", "many"):
        found[name]["share_of_offline"] = found[name]["texts_per_second"] / reference
    found["single"]["cpu_milliseconds_above_encoding"] = found["single"]["cpu_milliseconds_per_text"] - encoding


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Measure, and write what was found."""
    from embedrt_bench.serving.tables import DOCUMENT, with_tables

    folder = with_variants(exported()[0], (VARIANT,))  # type: ignore[arg-type]
    result = rounded(measure(folder, scale=float(sys.argv[1]) if len(sys.argv) > 1 else 1.0))
    write_result(RESULTS / "serving.json", result)
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
