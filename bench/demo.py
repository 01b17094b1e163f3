"""``make demo``: the whole road on a real model, with what was measured at its end."""

import argparse
import subprocess
import sys
from pathlib import Path

from embedrt_bench.engines import Embedrt, Engine, SentenceTransformers
from embedrt_bench.minilm import checkpoint_folder, exported
from embedrt_bench.scenarios import cold_start, offline, require_agreement, single_stream
from embedrt_bench.workloads import composed_sentences
from rich.console import Console
from rich.table import Table

from embedrt.threads import available_threads

__all__ = ["main"]

_SENTENCE = "How do I reset my password when the old phone is gone?"
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
    checkpoint, threads = checkpoint_folder(), available_threads()
    starts = cold_start(
        {
            "ours": f"from embedrt import SentenceEncoder\nmodel = SentenceEncoder({str(artifact)!r})",
            "theirs": "from sentence_transformers import SentenceTransformer\n"
            f"model = SentenceTransformer({str(checkpoint)!r}, device='cpu')",
        },
        rounds=2,
    )
    engines: list[Engine] = [Embedrt(artifact, threads=threads), SentenceTransformers(checkpoint, threads=threads)]
    texts = composed_sentences(count)
    require_agreement(engines, texts[:100])
    single = single_stream(engines, _SENTENCE, rounds=3)
    speed = offline(engines, texts, rounds=2)
    ours, theirs = (engine.name for engine in engines)
    table = Table("", ours, theirs, "")
    size = (
        (artifact / "onnx/model.onnx").stat().st_size / 1e6,
        (checkpoint / "model.safetensors").stat().st_size / 1e6,
    )
    table.add_row("weights on disk", f"{size[0]:.1f} MB", f"{size[1]:.1f} MB", "")
    cold = min(starts["ours"].seconds), min(starts["theirs"].seconds)
    table.add_row("import to first vector", f"{cold[0]:.2f} s", f"{cold[1]:.2f} s", f"{cold[1] / cold[0]:.1f} ×")
    peak = starts["ours"].peak_megabytes, starts["theirs"].peak_megabytes
    table.add_row("peak memory of that process", f"{peak[0]:.0f} MB", f"{peak[1]:.0f} MB", f"{peak[1] / peak[0]:.1f} ×")
    p50 = single[ours]["p50"], single[theirs]["p50"]
    table.add_row("one sentence, median", f"{p50[0]:.1f} ms", f"{p50[1]:.1f} ms", f"{p50[1] / p50[0]:.1f} ×")
    rate = speed[ours]["median"], speed[theirs]["median"]
    table.add_row(
        f"{count} sentences, {threads} threads",
        f"{rate[0]:.0f} /s",
        f"{rate[1]:.0f} /s",
        f"{rate[0] / rate[1]:.1f} ×",
    )
    return table


if __name__ == "__main__":
    main()
