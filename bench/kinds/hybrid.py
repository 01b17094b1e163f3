"""What each output of a hybrid model costs: ``python -m embedrt_bench.kinds.hybrid``, bench/results/hybrid.json.

BGE-M3's widths (1024, intermediate 4096, 16 heads) with random weights and four of its 24 layers: what a head costs beside four
layers is measured; beside 24 it is a sixth of that. Every class has to give what HybridEncoder gives before anything is timed.
"""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import embedrt_export
from embedrt_bench.command import errors_told, measuring
from embedrt_bench.documents import DOCS, heading, line, processor, versions, with_blocks
from embedrt_bench.engines.process import EngineError
from embedrt_bench.kinds.agreement import require_equal
from embedrt_bench.kinds.beside import interleaved
from embedrt_bench.models.cached import CACHE, cached
from embedrt_bench.results import RESULTS, read_result, write_result

from embedrt import HybridEncoder, MultiVectorEncoder, SentenceEncoder, SparseEncoder
from embedrt.errors import InputError
from embedrt.inference.layout import default_layout
from embedrt.machine.threads import available_threads

__all__ = ["DOCUMENT", "main", "save_wide", "texts_of", "with_table"]

DOCUMENT = DOCS / "multi-vector.md"
_RESULT = RESULTS / "hybrid.json"
T = TypeVar("T")
_HIDDEN, _LAYERS, _TOKENS, _TEXTS, _ROUNDS = 1024, 4, 64, 16, 7
_CLOSE = 1e-5
"""Largest difference between a class by itself and HybridEncoder: the outputs left out change no others."""


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


@errors_told()
def main() -> None:
    """Measure, interleaved, write the result, and bring it into the document unless the result goes elsewhere."""
    asked = measuring(__doc__, output=_RESULT, rounds=_ROUNDS).parse_args()
    out = CACHE / "hybrid-wide"

    def make() -> None:
        with tempfile.TemporaryDirectory() as place:
            embedrt_export.export(str(save_wide(Path(place) / "bge-m3-wide")), out, overwrite=True)

    cached(out, make)
    write_result(asked.output, _measured(out, rounds=asked.rounds))
    if asked.output == _RESULT:
        DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


def _measured(artifact: Path, *, rounds: int) -> dict[str, Any]:
    layout = default_layout(available_threads())
    hybrid = HybridEncoder(artifact, layout=layout)
    dense, sparse = SentenceEncoder(artifact, layout=layout), SparseEncoder(artifact, layout=layout)
    multi = MultiVectorEncoder(artifact, layout=layout)
    texts = texts_of(_TOKENS, _TEXTS, lambda text: len(dense.tokenize([text])[0]))
    every = hybrid.encode(texts)
    differences = [
        require_equal("SentenceEncoder", dense.encode(texts), _present(every.dense), at_most=_CLOSE),
        require_equal(
            "SparseEncoder", sparse.encode(texts).to_dense(), _present(every.sparse).to_dense(), at_most=_CLOSE
        ),
        require_equal("MultiVectorEncoder", multi.encode(texts), _present(every.multi_vector), at_most=_CLOSE),
    ]
    runs: dict[str, Callable[[], Any]] = {
        "SentenceEncoder": lambda: dense.encode(texts),
        "SparseEncoder": lambda: sparse.encode(texts),
        "MultiVectorEncoder": lambda: multi.encode(texts),
        "HybridEncoder, dense alone": lambda: hybrid.encode(texts, sparse=False, multi_vector=False),
        "HybridEncoder, all": lambda: hybrid.encode(texts),
    }
    seconds = interleaved(runs, rounds=rounds, title="outputs")
    return {
        "hidden": _HIDDEN,
        "layers": _LAYERS,
        "texts": len(texts),
        "tokens": _TOKENS,
        "rounds": rounds,
        "max_abs_difference": max(differences),
        "seconds": seconds,
        "median_milliseconds": {name: 1e3 * statistics.median(found) for name, found in seconds.items()},
    }


def _present(vectors: T | None) -> T:
    if vectors is None:
        raise EngineError("HybridEncoder", "did not give all kinds of vectors")
    return vectors


def texts_of(tokens: int, count: int, length: Callable[[str], int]) -> list[str]:
    """``count`` different texts of ``tokens`` tokens each, since equal ones run once; ``length`` counts those of a text.

    Raises:
        InputError: the tokenizer makes no such texts of these words.
    """
    words = (tokens - length("a")) // (length("cat cat") - length("cat"))
    texts = [f"{'cat ' * before}a{' cat' * (words - before)}" for before in range(min(count, words + 1))]
    if len(texts) != count or {length(text) for text in texts} != {tokens}:
        raise InputError(
            f"there are not {count} texts of {tokens} tokens: {len(texts)}, the first of {length(texts[0])}"
        )
    return texts


def with_table(text: str, result: Path = _RESULT) -> str:
    """``text`` with the block ``<!-- hybrid: outputs -->…<!-- end -->`` made anew."""
    measured = read_result(result)
    return with_blocks(text, "hybrid", lambda _name: _table(measured))


def _table(measured: dict[str, Any]) -> str:
    medians = measured["median_milliseconds"]
    lines = heading(["class", "ms, median", "from", "to", "× SentenceEncoder"])
    for name, found in measured["seconds"].items():
        figures = [medians[name], 1e3 * min(found), 1e3 * max(found)]
        ratio = medians[name] / medians["SentenceEncoder"]
        lines.append(line([name, *(f"{figure:.0f}" for figure in figures), f"{ratio:.3f}"]))
    shape = f"{measured['texts']} texts of {measured['tokens']} tokens, {measured['layers']} layers {measured['hidden']} wide"
    rounds = len(measured["seconds"]["SentenceEncoder"])
    where = f"{measured['machine']['threads']} cores of an {processor(measured)}, {versions(measured)}"
    return "\n".join([*lines, "", f"{shape}. Measured {measured['date']} on {where}; {rounds} rounds in turns."])


if __name__ == "__main__":
    main()
