"""``make bench``: the fp32 road beside sentence-transformers in one run; writes bench/results/road.json."""

import argparse
import subprocess
import sys
import tempfile
import venv
from dataclasses import asdict
from pathlib import Path
from typing import Any

from embedrt_bench.data import data_folder, sts_texts
from embedrt_bench.engines import Embedrt, Engine, SentenceTransformers
from embedrt_bench.minilm import CACHE, checkpoint_folder, exported
from embedrt_bench.quality import sts_scores
from embedrt_bench.results import RESULTS, write_result
from embedrt_bench.roofline import gemm_peak
from embedrt_bench.scenarios import cold_start, offline, require_agreement, single_stream

from embedrt import SentenceEncoder
from embedrt.threads import available_threads

__all__ = ["main"]

_SIXTEEN_TOKENS = "How can I reset my password when the old phone is gone for good?"
_ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure everything and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=5000, help="STS sentences a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--result", type=Path, default=RESULTS / "road.json")
    options = parser.parse_args()
    folder = data_folder()
    if folder is None:
        sys.exit("the STS files are not here: set EMBEDRT_DATA to the folder that holds sts-en/")
    write_result(options.result, _measure(folder, options.texts, options.rounds))
    print(f"{options.result} written; python -m embedrt_bench.readme brings its tables into the README")


def _measure(folder: Path, count: int, rounds: int) -> dict[str, Any]:
    artifact, export_seconds = exported(CACHE / "minilm", again=True)
    checkpoint, threads = checkpoint_folder(), available_threads()
    starts = cold_start(
        {
            "embedrt fp32": f"from embedrt import SentenceEncoder\nmodel = SentenceEncoder({str(artifact)!r})",
            "sentence-transformers float32": "from sentence_transformers import SentenceTransformer\n"
            f"model = SentenceTransformer({str(checkpoint)!r}, device='cpu')",
        },
        rounds=5,
    )
    engines: list[Engine] = [Embedrt(artifact, threads=threads), SentenceTransformers(checkpoint, threads=threads)]
    every = sts_texts(folder)
    texts = every[:: max(1, len(every) // count)][:count]  # an even sample: the sets differ in length
    agreement = require_agreement(engines, texts[:500])
    speed = offline(engines, texts, rounds=rounds)
    single = single_stream(engines, _SIXTEEN_TOKENS, rounds=10)
    ours, theirs = (engine.name for engine in engines)
    peak, tokens = gemm_peak(), _tokens(artifact, texts)
    return {
        "texts": f"{len(texts)} STS sentences, evenly from all sets",
        "engines": {engine.name: engine.settings for engine in engines},
        "smallest_cosine_between_engines": agreement,
        "offline_texts_per_second": speed,
        "offline_tokens": tokens,
        "offline_share_of_gemm_peak": speed[ours]["median"] / len(texts) * _matrix_gflop(tokens) / (threads * peak),
        "offline_ratio": speed[ours]["median"] / speed[theirs]["median"],
        "single_stream_milliseconds": single,
        "single_stream_ratio": single[theirs]["p50"] / single[ours]["p50"],
        "cold_start": {name: asdict(start) for name, start in starts.items()},
        "export_seconds": export_seconds,
        "artifact_megabytes": sum(path.stat().st_size for path in artifact.rglob("*") if path.is_file()) / 1e6,
        "runtime_install_megabytes": _install_size(),
        "gemm_peak_gflops_per_thread": peak,
        "sts": sts_scores(engines[0].encode, folder),
    }


def _tokens(artifact: Path, texts: list[str]) -> int:
    """Tokens of all texts together, special ones included."""
    with SentenceEncoder(artifact) as encoder:
        return sum(len(row) for row in encoder.tokenize(texts))


def _matrix_gflop(tokens: int) -> float:
    """Work of MiniLM's constant matrices for so many tokens: 6 layers of 4 · 384² + 2 · 384 · 1536 multiplications each."""
    return 2e-9 * tokens * 6 * (4 * 384**2 + 2 * 384 * 1536)


def _install_size() -> float:
    """Megabytes that ``pip install "embedrt[cpu]"`` adds to an empty environment; fails if torch is among them."""
    with tempfile.TemporaryDirectory() as place:
        venv.create(place, with_pip=True)
        empty = _size(Path(place))
        pip = [f"{place}/bin/python", "-m", "pip", "install", "--quiet", f"{_ROOT}[cpu]"]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
        if (
            subprocess.run([f"{place}/bin/python", "-c", "import torch"], check=False, capture_output=True).returncode
            == 0
        ):
            raise RuntimeError("the runtime install brought torch")
        return (_size(Path(place)) - empty) / 1e6


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
