"""Sparse encoding beside sentence-transformers: ``python -m embedrt_bench.kinds.sparse`` writes bench/results/sparse.json.

All engines run in one process on the same number of threads, in turns; their vectors are compared before anything is timed.

No trained SPLADE is at hand. A stand-in has its shape: the real all-MiniLM-L6-v2 with a masked-LM head tied to its word
vectors (30 522 terms), whose bias is lowered until a text has some hundred terms. That costs what a real one costs; which
terms these are means nothing.
"""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import numpy.typing as npt
from embedrt_bench.command import errors_told, measuring
from embedrt_bench.kinds import sparse_table
from embedrt_bench.kinds.agreement import require_equal, require_near
from embedrt_bench.kinds.beside import ORIGINAL, fidelity, interleaved, megabytes, sts_sample
from embedrt_bench.kinds.sparse_table import RESULT
from embedrt_bench.models.cached import CACHE, cached
from embedrt_bench.models.minilm import checkpoint_folder
from embedrt_bench.results import write_result
from embedrt_export.quantization import Precision, QuantizeOptions

from embedrt import SparseEncoder
from embedrt.artifact.manifest import MANIFEST_FILE, Manifest
from embedrt.inference.layout import default_layout
from embedrt.machine.threads import available_threads

__all__ = ["main", "save_stand_in"]

_TEXTS, _ROUNDS = 256, 5
_CLOSE = 1e-4
"""Largest difference of a weight between float32 and the original, before its time counts."""
_TERMS = 100
"""Terms of a text that the bias leaves, in the mean."""
_VARIANTS: tuple[Precision, ...] = ("int8", "int8-static")
_BUDGETS = (128, 256, 512, 1024)
"""Tokens a run that are tried; 512 is the default."""

Encode = Callable[[list[str]], Any]


def save_stand_in(folder: Path, texts: list[str]) -> Path:
    """The checkpoint, its bias fitted on ``texts``; as sentence-transformers saves it."""
    import torch
    from sentence_transformers import SparseEncoder as Original
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sparse_encoder.modules import SpladePooling
    from transformers import AutoModel, AutoTokenizer, BertForMaskedLM

    body = AutoModel.from_pretrained(checkpoint_folder())
    model = BertForMaskedLM(body.config)
    model.bert.load_state_dict(body.state_dict(), strict=False)
    with torch.no_grad():
        torch.nn.init.eye_(model.cls.predictions.transform.dense.weight)
    plain = folder.with_name(f"{folder.name}-plain")
    model.save_pretrained(plain)
    AutoTokenizer.from_pretrained(checkpoint_folder()).save_pretrained(plain)
    transformer = Transformer(str(plain), transformer_task="fill-mask", max_seq_length=256)
    encoder = Original(modules=[transformer, SpladePooling("max")], device="cpu")
    decoder = transformer.auto_model.cls.predictions.decoder
    with torch.no_grad():
        decoder.bias.add_(10)  # everything above 0, so that all logits can be seen
        weights = encoder.encode(texts, convert_to_sparse_tensor=False).expm1()  # (texts, terms)
        decoder.bias.sub_(weights.topk(_TERMS + 1, dim=1).values[:, -1].mean())
    encoder.save(str(folder))
    return folder


def _artifact(texts: list[str], sts: Path) -> tuple[Path, Path]:
    """Checkpoint and artifact with its variants, in the cache folder."""
    checkpoint, out = CACHE / "sparse" / "checkpoint", CACHE / "sparse" / "artifact"

    def make() -> None:
        save_stand_in(checkpoint, texts)
        options = QuantizeOptions(allow_below_gate=True, sts=sts)
        embedrt_export.export(str(checkpoint), out, precisions=_VARIANTS, quantize_options=options, overwrite=True)

    cached(out, make)
    return checkpoint, out


@errors_told()
def main() -> None:
    """Measure, interleaved, write the result, and bring it into the document unless the result goes elsewhere."""
    asked = measuring(__doc__, output=RESULT, rounds=_ROUNDS).parse_args()
    folder, texts = sts_sample(_TEXTS)
    checkpoint, artifact = _artifact(texts, folder / "sts-en")
    write_result(asked.output, _measured(checkpoint, artifact, texts, rounds=asked.rounds))
    if asked.output == RESULT:
        sparse_table.main()


def _measured(checkpoint: Path, artifact: Path, texts: list[str], *, rounds: int) -> dict[str, Any]:
    import torch
    from sentence_transformers import SparseEncoder as Original

    threads = available_threads()
    torch.set_num_threads(threads)
    original = Original(str(checkpoint), device="cpu")
    layout = default_layout(threads)
    ours = {name: SparseEncoder(artifact, variant=name, layout=layout) for name in ("fp32", *_VARIANTS)}
    engines: dict[str, Encode] = {ORIGINAL: original.encode}
    engines |= {f"embedrt {name}": encoder.encode for name, encoder in ours.items()}
    difference = _compared(ours, original.encode(texts, convert_to_sparse_tensor=False).numpy(), texts)
    seconds = _timed(engines, texts, rounds=rounds)
    alone = _timed(engines, [texts[0]], rounds=rounds, repeats=10)
    manifest = Manifest.from_json((artifact / MANIFEST_FILE).read_bytes())
    return {
        "texts": len(texts),
        "rounds": rounds,
        "budgets": _budgets(artifact, texts, threads),
        "terms": SparseEncoder.sparsity(ours["fp32"].encode(texts))["active_dims"],
        "max_abs_difference": difference,
        "engines": {
            name: {
                "texts_per_second": len(texts) / statistics.median(seconds[name]),
                "seconds": seconds[name],
                "one_text_milliseconds": 1e3 * statistics.median(alone[name]),
                "one_text_seconds": alone[name],
                "megabytes": megabytes(name, checkpoint, manifest),
                **fidelity(name, manifest),
            }
            for name in engines
        },
    }


def _compared(ours: Mapping[str, SparseEncoder], expected: npt.NDArray[np.float32], texts: list[str]) -> float:
    """The largest difference of float32's vectors to the ``expected`` ones (texts, terms); a wrong encoder ends the run."""
    for name, encoder in ours.items():
        found = encoder.encode(texts).to_dense()
        if name == "fp32":
            difference = require_equal(f"embedrt {name}", found, expected, at_most=_CLOSE)
        else:
            require_near(f"embedrt {name}", found, expected)
    return difference


def _budgets(artifact: Path, texts: list[str], threads: int) -> dict[str, dict[str, float]]:
    """Texts a second at several budgets, by variant."""
    found: dict[str, dict[str, float]] = {}
    for variant in ("fp32", "int8"):
        layouts = {str(budget): replace(default_layout(threads), token_budget=budget) for budget in _BUDGETS}
        encoders = {name: SparseEncoder(artifact, variant=variant, layout=layout) for name, layout in layouts.items()}
        seconds = _timed({name: encoder.encode for name, encoder in encoders.items()}, texts, rounds=3)
        found[variant] = {name: len(texts) / statistics.median(times) for name, times in seconds.items()}
    return found


def _timed(engines: Mapping[str, Encode], texts: list[str], *, rounds: int, repeats: int = 1) -> dict[str, list[float]]:
    """Seconds that ``texts`` take each engine, by round."""
    runs = {name: partial(encode, texts) for name, encode in engines.items()}
    return interleaved(runs, rounds=rounds, title=f"{len(texts)} texts", repeats=repeats)


if __name__ == "__main__":
    main()
