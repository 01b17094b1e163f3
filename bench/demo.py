"""``make demo``: the whole road on a real model, with what was measured at its end."""

import argparse
import subprocess
import sys
from pathlib import Path

from embedrt_bench.engines.catalogue import REFERENCE
from embedrt_bench.engines.lineup import Lineup
from embedrt_bench.engines.prepared import Prepared, Source
from embedrt_bench.models.minilm import checkpoint_folder, exported
from embedrt_bench.scenarios.cold_start import cold_start
from embedrt_bench.scenarios.offline import offline
from embedrt_bench.scenarios.single_stream import single_stream
from embedrt_bench.texts.workloads import composed_sentences
from rich.console import Console
from rich.table import Table

from embedrt.machine.threads import available_threads

__all__ = ["main"]

_SENTENCE = "How do I reset my password when the old phone is gone?"
_CHECKED = 100  # sentences whose vectors have to agree before a time counts
_WITHOUT_TORCH = """
import sys
from rich.console import Console
from embedrt import SentenceEncoder
from embedrt.cli.similarity import similarity_table

texts = ["How do I reset my password?", "I forgot my login and cannot sign in.", "The cat sleeps on the warm roof.",
         "A kitten is napping on top of the house.", "忘记密码怎么办？", "如何重置密码？", "猫在屋顶上睡觉。"]
encoder = SentenceEncoder(sys.argv[1])
vectors = encoder.encode(texts)
Console(highlight=False, width=110).print(similarity_table(texts, encoder.similarity(vectors, vectors).tolist()))
loaded = [name for name in ("torch", "transformers", "sentence_transformers", "onnx") if name in sys.modules]
if loaded:
    sys.exit(f"loaded in this process: {loaded}")
print(f"vectors {vectors.dtype} {vectors.shape}; not loaded: torch, transformers, sentence-transformers, onnx")
"""


def main() -> None:
    """Export, encode without torch, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo/minilm"))
    parser.add_argument("--sentences", type=int, default=1500)
    options = parser.parse_args()
    console = Console(highlight=False, width=110)
    console.rule("1. all-MiniLM-L6-v2 to one graph, verified against PyTorch")
    artifact, seconds = exported(options.out, again=True)
    console.print(f"{artifact} written in {seconds:.0f} s\n")
    console.rule("2. Encode without PyTorch")
    subprocess.run([sys.executable, "-c", _WITHOUT_TORCH, str(artifact)], check=True)
    console.print("(all-MiniLM-L6-v2 was trained on English: its Chinese sentences meet by shared characters only)\n")
    console.rule("3. Measured on this machine")
    console.print(_measured(artifact, options.sentences))
    console.print(
        f"\nNow try: [bold]{Path(sys.executable).parent / 'embedrt'} similarity {artifact} 'one text' 'another'[/]"
    )


def _measured(artifact: Path, count: int) -> Table:
    """Both engines in one run, in rows: ours, theirs, how many times better."""
    names, threads = ("embedrt fp32", REFERENCE), available_threads()
    texts = composed_sentences(count)
    source = Source(artifact=artifact, checkpoint=checkpoint_folder(), calibration=texts)
    with Lineup(names, source, Prepared(source), threads=threads) as lineup:
        lineup.open(texts[:_CHECKED])
        if lineup.names != list(names):
            raise SystemExit("one of the two engines could not be measured: the reason stands above")
        starts = cold_start(names, lineup.start, rounds=2)
        single = single_stream(lineup.running, [_SENTENCE] * 20, rounds=3, title="one sentence")
        speed = offline(lineup.running, texts, tokens=0, rounds=2, title="all sentences")
        sizes = [sum(file.stat().st_size for file in spec.files(source, Prepared(source))) for spec in lineup.specs()]
    table = Table("", *names, "")
    table.add_row("model files", *(f"{size / 1e6:.1f} MB" for size in sizes), "")
    cold = [starts[name]["seconds"]["median"] for name in names]
    table.add_row("import to first vector", *(f"{value:.2f} s" for value in cold), _times(*cold))
    peak = [starts[name]["peak_megabytes"] for name in names]
    table.add_row("peak memory of that process", *(f"{value:.0f} MB" for value in peak), _times(*peak))
    p50 = [single[name]["p50"] for name in names]
    table.add_row("one sentence, median", *(f"{value:.1f} ms" for value in p50), _times(*p50))
    rate = [speed[name]["texts_per_second"]["median"] for name in names]
    table.add_row(f"{count} sentences, {threads} threads", *(f"{value:.0f} /s" for value in rate), _times(*rate[::-1]))
    return table


def _times(ours: float, theirs: float) -> str:
    return f"{theirs / ours:.1f} ×"


if __name__ == "__main__":
    main()
