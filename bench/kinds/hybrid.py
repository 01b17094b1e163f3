"""What each output of a hybrid model costs: ``python -m embedrt_bench.kinds.hybrid`` writes bench/results/hybrid.json.

BGE-M3's widths (1024, intermediate 4096, 16 heads) with random weights and four of its 24 layers: what a head costs beside four
layers is measured; beside 24 it is a sixth of that.
"""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
from embedrt_bench.kinds.beside import interleaved
from embedrt_bench.models.cached import CACHE, cached
from embedrt_bench.results import RESULTS, write_result

from embedrt import HybridEncoder, MultiVectorEncoder, SentenceEncoder, SparseEncoder
from embedrt.machine.threads import available_threads

__all__ = ["main", "save_wide"]

_HIDDEN, _LAYERS, _TOKENS, _TEXTS, _ROUNDS = 1024, 4, 64, 16, 7


def save_wide(folder: Path) -> Path:
    """The checkpoint; its vocabulary is a small one, since a lookup costs the same in any."""
    import torch
    from embedrt_bench.compatibility.tokenizers import small_tokenizer
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import XLMRobertaConfig, XLMRobertaModel

    pieces = small_tokenizer("unigram", max_length=512, padding_side="right")
    config = XLMRobertaConfig(
        vocab_size=len(pieces),
        hidden_size=_HIDDEN,
        num_hidden_layers=_LAYERS,
        num_attention_heads=16,
        intermediate_size=4 * _HIDDEN,
        max_position_embeddings=514,
        pad_token_id=pieces.pad_token_id,
    )
    torch.manual_seed(0)
    plain = folder.with_name(f"{folder.name}-plain")
    XLMRobertaModel(config).save_pretrained(plain)
    pieces.save_pretrained(plain)
    modules = [Transformer(str(plain)), Pooling(_HIDDEN, pooling_mode="cls"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    for name, width in (("colbert_linear.pt", _HIDDEN), ("sparse_linear.pt", 1)):
        torch.save(torch.nn.Linear(_HIDDEN, width).state_dict(), folder / name)
    return folder


def main() -> None:
    """Measure, interleaved, and write the result."""
    out = CACHE / "hybrid-wide"

    def make() -> None:
        with tempfile.TemporaryDirectory() as place:
            embedrt_export.export(str(save_wide(Path(place) / "bge-m3-wide")), out, overwrite=True)

    cached(out, make)
    threads = available_threads()
    hybrid = HybridEncoder(out, threads=threads)
    dense, sparse = SentenceEncoder(out, threads=threads), SparseEncoder(out, threads=threads)
    multi = MultiVectorEncoder(out, threads=threads)
    length = len(dense.tokenize(["cat " * 200])[0])
    words = max(1, _TOKENS * 200 // length)
    texts = [f"{'cat ' * number}dog {'cat ' * (words - number - 1)}" for number in range(_TEXTS)]  # equal ones run once
    runs: dict[str, Callable[[], Any]] = {
        "SentenceEncoder": lambda: dense.encode(texts),
        "SparseEncoder": lambda: sparse.encode(texts),
        "MultiVectorEncoder": lambda: multi.encode(texts),
        "HybridEncoder, dense alone": lambda: hybrid.encode(texts, sparse=False, multi_vector=False),
        "HybridEncoder, all": lambda: hybrid.encode(texts),
    }
    seconds = interleaved(runs, rounds=_ROUNDS, title="outputs")
    result = {
        "hidden": _HIDDEN,
        "layers": _LAYERS,
        "texts": len(texts),
        "tokens": int(np.mean([len(row) for row in dense.tokenize(texts)])),
        "seconds": seconds,
        "median_milliseconds": {name: 1e3 * statistics.median(found) for name, found in seconds.items()},
    }
    write_result(RESULTS / "hybrid.json", result)


if __name__ == "__main__":
    main()
