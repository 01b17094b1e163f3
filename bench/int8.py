"""``make bench-int8``: the int8 variants beside fp32 and sentence-transformers in one run; writes bench/results/int8.json.

A second model, a 12-layer 768-wide BERT with random weights and the Chinese vocabulary, stands for the larger ones.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from embedrt_bench.bert_zh import bert_zh_artifact, texts_of_length
from embedrt_bench.data import data_folder, sts_texts
from embedrt_bench.engines import Embedrt, Engine, SentenceTransformers
from embedrt_bench.minilm import CACHE, checkpoint_folder, exported, with_variants
from embedrt_bench.profiling import operator_shares
from embedrt_bench.quality import sts_scores
from embedrt_bench.results import RESULTS, write_result
from embedrt_bench.scenarios import offline, require_agreement, single_stream
from embedrt_export.distance import row_cosines

from embedrt import SentenceEncoder
from embedrt.threads import available_threads

__all__ = ["main"]

VARIANTS = ("fp32", "int8", "int8-static")
_SIXTEEN_TOKENS = "How can I reset my password when the old phone is gone for good?"


def main() -> None:
    """Measure everything and write the result files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=5000, help="STS sentences a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    folder = data_folder()
    if folder is None:
        sys.exit("the STS files are not here: set EMBEDRT_DATA to the folder that holds sts-en/")
    artifact = with_variants(exported(CACHE / "minilm")[0], ("int8", "int8-static"))
    write_result(RESULTS / "int8.json", _measure(artifact, folder, options.texts, options.rounds))
    shares = {variant: operator_shares(artifact, variant, sts_texts(folder)[::40]) for variant in VARIANTS}
    write_result(RESULTS / "profile.json", {"share_of_time": shares, "texts": "STS sentences, one thread"})
    print(
        f"{RESULTS}/int8.json and profile.json written; python -m embedrt_bench.readme brings them into the documents"
    )


def _measure(artifact: Path, folder: Path, count: int, rounds: int) -> dict[str, Any]:
    threads = available_threads()
    every = sts_texts(folder)
    texts = every[:: max(1, len(every) // count)][:count]
    ours: list[Engine] = [Embedrt(artifact, variant, threads=threads) for variant in VARIANTS]
    engines: list[Engine] = [*ours, SentenceTransformers(checkpoint_folder(), threads=threads)]
    require_agreement(engines, texts[:500], smallest_cosine=0.95)
    speed = offline(engines, texts, rounds=rounds)
    single = single_stream(engines, _SIXTEEN_TOKENS, rounds=10)
    exact = ours[0].encode(every)
    cosines = {engine.name: row_cosines(exact, engine.encode(every)) for engine in ours}
    scores = {engine.name: sts_scores(engine.encode, folder) for engine in ours}
    base = scores[ours[0].name]
    means = {name: sum(sets[key] - base[key] for key in base) / len(base) for name, sets in scores.items()}
    with SentenceEncoder(artifact) as encoder:
        tokens = sum(len(row) for row in encoder.tokenize(texts))
    return {
        "texts": f"{len(texts)} STS sentences, evenly from all sets, {tokens} tokens",
        "offline_texts_per_second": speed,
        "single_stream_milliseconds": single,
        "cosine_to_fp32": {
            name: {"texts": len(every), "mean": float(values.mean()), "min": float(values.min())}
            for name, values in cosines.items()
        },
        "sts": scores,
        "sts_mean_change": means,
        "megabytes": {
            "embedrt fp32": _megabytes(artifact / "onnx/model.onnx"),
            "embedrt int8": _megabytes(artifact / "onnx/model_int8.onnx"),
            "embedrt int8-static": _megabytes(artifact / "onnx/model_int8_static.onnx"),
            "sentence-transformers float32": _megabytes(checkpoint_folder() / "model.safetensors"),
        },
        "bert_zh_64_tokens": _bert_zh(folder, rounds),
    }


def _bert_zh(folder: Path, rounds: int) -> dict[str, Any]:
    """Texts of 64 tokens a second on the large random model."""
    artifact = bert_zh_artifact(folder, CACHE / "bert-zh")
    engines: list[Engine] = [Embedrt(artifact, variant, threads=available_threads()) for variant in ("fp32", "int8")]
    texts = texts_of_length(folder, artifact, tokens=64, count=128)
    speed = offline(engines, texts, rounds=rounds)
    cosines = row_cosines(*(np.asarray(engine.encode(texts), dtype=np.float32) for engine in engines))
    return {"offline_texts_per_second": speed, "cosine_mean": float(cosines.mean()), "cosine_min": float(cosines.min())}


def _megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6


if __name__ == "__main__":
    main()
