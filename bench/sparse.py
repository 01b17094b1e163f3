"""Sparse encoding beside sentence-transformers: ``python -m embedrt_bench.sparse`` writes bench/results/sparse.json.

No trained SPLADE is at hand. A stand-in has its shape: the real all-MiniLM-L6-v2 with a masked-LM head tied to its word
vectors (30 522 terms), whose bias is lowered until a text has some hundred terms. That costs what a real one costs; which
terms these are means nothing.
"""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
from embedrt_bench.data import data_folder, sts_texts
from embedrt_bench.minilm import CACHE, checkpoint_folder
from embedrt_bench.results import RESULTS, write_result
from embedrt_export.quantization import Precision, QuantizeOptions
from tqdm import tqdm

from embedrt import SparseEncoder
from embedrt.layout import default_layout
from embedrt.manifest import MANIFEST_FILE, Manifest
from embedrt.threads import available_threads

__all__ = ["main", "save_stand_in"]

_TEXTS, _ROUNDS = 256, 5
_TERMS = 100
"""Terms of a text that the bias leaves, in the mean."""
_VARIANTS: tuple[Precision, ...] = ("int8", "int8-static")
_BUDGETS = (128, 256, 512, 1024)
"""Tokens a run that are tried; 512 is the default."""
_PAUSE = 0.4  # seconds: the threads of whoever ran last spin for half of it


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


def _artifact(texts: list[str]) -> tuple[Path, Path]:
    """Checkpoint and artifact with its variants, in the cache folder."""
    checkpoint, out = CACHE / "sparse" / "checkpoint", CACHE / "sparse" / "artifact"
    if not (out / MANIFEST_FILE).is_file():
        save_stand_in(checkpoint, texts)
        options = QuantizeOptions(allow_below_gate=True, sts=_sts())
        embedrt_export.export(str(checkpoint), out, precisions=_VARIANTS, quantize_options=options, overwrite=True)
    return checkpoint, out


def _sts() -> Path | None:
    folder = data_folder()
    return None if folder is None else folder / "sts-en"


def main() -> None:
    """Measure, interleaved, and write the result."""
    folder = data_folder()
    if folder is None:
        raise SystemExit("the STS files are not there: see bench/data.py")
    every = sts_texts(folder)
    texts = every[:: len(every) // _TEXTS][:_TEXTS]
    checkpoint, artifact = _artifact(texts)
    measured = _measured(checkpoint, artifact, texts)
    write_result(RESULTS / "sparse.json", measured)


def _measured(checkpoint: Path, artifact: Path, texts: list[str]) -> dict[str, Any]:
    import torch
    from sentence_transformers import SparseEncoder as Original

    threads = available_threads()
    torch.set_num_threads(threads)
    original = Original(str(checkpoint), device="cpu")
    ours = {name: SparseEncoder(artifact, variant=name, threads=threads) for name in ("fp32", *_VARIANTS)}
    engines: dict[str, Callable[[list[str]], Any]] = {"sentence-transformers float32": original.encode}
    engines |= {f"embedrt {name}": encoder.encode for name, encoder in ours.items()}
    seconds = _interleaved(engines, texts)
    alone = _interleaved(engines, [texts[0]])
    wanted = original.encode(texts, convert_to_sparse_tensor=False).numpy()
    found = ours["fp32"].encode(texts)
    manifest = Manifest.from_json((artifact / MANIFEST_FILE).read_bytes())
    difference = float(np.abs(found.to_dense() - wanted).max())
    if difference > 1e-4:
        raise SystemExit(f"the float32 graph differs by {difference:.1e}: these times mean nothing")
    return {
        "texts": len(texts),
        "budgets": _budgets(artifact, texts, threads),
        "terms": SparseEncoder.sparsity(found)["active_dims"],
        "max_abs_difference": difference,
        "engines": {
            name: {
                "texts_per_second": len(texts) / statistics.median(seconds[name]),
                "seconds": seconds[name],
                "one_text_milliseconds": 1e3 * statistics.median(alone[name]),
                "megabytes": _megabytes(name, checkpoint, artifact, manifest),
                **_fidelity(manifest, name.removeprefix("embedrt ")),
            }
            for name in engines
        },
    }


def _budgets(artifact: Path, texts: list[str], threads: int) -> dict[str, dict[str, float]]:
    """Texts a second at several budgets, by variant."""
    found: dict[str, dict[str, float]] = {}
    for variant in ("fp32", "int8"):
        layouts = {str(budget): replace(default_layout(threads), token_budget=budget) for budget in _BUDGETS}
        encoders = {name: SparseEncoder(artifact, variant=variant, layout=layout) for name, layout in layouts.items()}
        seconds = _interleaved({name: encoder.encode for name, encoder in encoders.items()}, texts, rounds=3)
        found[variant] = {name: len(texts) / statistics.median(times) for name, times in seconds.items()}
    return found


def _interleaved(
    engines: dict[str, Callable[[list[str]], Any]], texts: list[str], *, rounds: int = _ROUNDS
) -> dict[str, list[float]]:
    """Seconds of each engine in each round, A B C A B C, behind one round that does not count."""
    found: dict[str, list[float]] = {name: [] for name in engines}
    repeats = 1 if len(texts) > 1 else 10
    for number in tqdm(range(rounds + 1), desc=f"{len(texts)} texts", unit="round", disable=None, leave=False):
        for name, encode in engines.items():
            gc.collect()
            time.sleep(_PAUSE)
            began = time.perf_counter()
            for _ in range(repeats):
                encode(texts)
            if number:
                found[name].append((time.perf_counter() - began) / repeats)
    return found


def _megabytes(name: str, checkpoint: Path, artifact: Path, manifest: Manifest) -> float:
    if name.startswith("embedrt"):
        return manifest.files[manifest.variants[name.removeprefix("embedrt ")].file].bytes / 1e6
    return (checkpoint / "model.safetensors").stat().st_size / 1e6


def _fidelity(manifest: Manifest, variant: str) -> dict[str, float]:
    if variant not in manifest.variants or variant == "fp32":
        return {}
    parity = manifest.variants[variant].parity
    return {"cosine_mean": parity.cosine_mean, "cosine_min": parity.cosine_min, **parity.measures}


if __name__ == "__main__":
    main()
