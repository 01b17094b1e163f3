"""Late interaction beside sentence-transformers: ``python -m embedrt_bench.multi_vector`` writes bench/results/multi_vector.json.

No trained ColBERT is at hand, so its shape is: the real all-MiniLM-L6-v2 with a random projection from 384 to 128, queries
expanded to 32 tokens. That has a real one's cost; its ranking means less than a trained one's.
"""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
from embedrt_bench.data import data_folder, sts_texts
from embedrt_bench.minilm import CACHE, checkpoint_folder
from embedrt_bench.results import RESULTS, read_result, write_result
from embedrt_export.quantization import Precision, QuantizeOptions
from tqdm import tqdm

from embedrt import MultiVectorEncoder
from embedrt.manifest import MANIFEST_FILE, Manifest
from embedrt.threads import available_threads

__all__ = ["main", "save_stand_in", "with_table"]

_DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "multi-vector.md"

_TEXTS, _QUERIES, _ROUNDS = 256, 32, 7
_WIDTH, _DIM, _EXPANDED = 384, 128, 32
_VARIANTS: tuple[Precision, ...] = ("int8", "int8-static")
_PAUSE = 0.4  # seconds: the threads of whoever ran last spin for half of it
_ORIGINAL = "sentence-transformers float32"

Engines = Mapping[str, Callable[[], Any]]


def save_stand_in(folder: Path) -> Path:
    """The checkpoint, as sentence-transformers saves it; the same each time."""
    import string

    import torch
    from sentence_transformers import MultiVectorEncoder as Original
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    torch.manual_seed(0)
    tokens = {"module_input_name": "token_embeddings"}
    expansion = {"strategy": "fixed", "attend": False, "length": _EXPANDED}
    modules = [
        Transformer(str(checkpoint_folder()), query_expansion=expansion, document_length=256),
        Dense(_WIDTH, _DIM, bias=False, activation_function=torch.nn.Identity(), **tokens),
        MultiVectorMask(list(string.punctuation)),
        Normalize(**tokens),
    ]
    Original(modules=modules, device="cpu").save(str(folder))
    return folder


def main() -> None:
    """Measure, interleaved, and write the result."""
    folder = data_folder()
    if folder is None:
        raise SystemExit("the STS files are not there: see bench/data.py")
    every = sts_texts(folder)
    texts = every[:: len(every) // _TEXTS][:_TEXTS]
    checkpoint, artifact = CACHE / "multi-vector" / "checkpoint", CACHE / "multi-vector" / "artifact"
    if not (artifact / MANIFEST_FILE).is_file():
        options = QuantizeOptions(allow_below_gate=True, sts=folder / "sts-en")
        made = str(save_stand_in(checkpoint))
        embedrt_export.export(made, artifact, precisions=_VARIANTS, quantize_options=options, overwrite=True)
    write_result(RESULTS / "multi_vector.json", _measured(checkpoint, artifact, texts))
    _DOCUMENT.write_text(with_table(_DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


def with_table(text: str, results: Path = RESULTS) -> str:
    """``text`` with its table of speeds made anew from the result file."""
    result = read_result(results / "multi_vector.json")
    before, begin, rest = text.partition("<!-- late: speed -->\n")
    return before + begin + _table(result) + "<!-- end -->" + rest.partition("<!-- end -->")[2]


def _table(result: dict[str, Any]) -> str:
    engines = result["engines"]
    original = engines[_ORIGINAL]
    rows = [
        f"| {name} | {one['documents_per_second']:.0f} | {one['documents_per_second'] / original['documents_per_second']:.1f} × "
        f"| {one['queries_per_second']:.0f} | {one['queries_per_second'] / original['queries_per_second']:.1f} × "
        f"| {one['megabytes']:.0f} | {_shown(one, 'cosine_mean', '.4f')} | {_shown(one, 'maxsim_rank_correlation', '.4f')} "
        f"| {_shown(one, 'ndcg_change', '+.2f')} |"
        for name, one in engines.items()
    ]
    lines = [
        "| engine | documents/s | | queries/s | | MB | cosine of tokens | rank correlation | nDCG@10 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
        "",
        *_notes(result),
    ]
    return "\n".join(lines) + "\n"


def _notes(result: dict[str, Any]) -> list[str]:
    """What was measured, and on what."""
    machine, late = result["machine"], result["maxsim"]
    packages = ("onnxruntime", "torch", "sentence-transformers")
    versions = ", ".join(f"{name} {machine['packages'][name]}" for name in packages)
    ours, theirs = (1e3 * statistics.median(late["seconds"][name]) for name in ("embedrt", _ORIGINAL))
    documents = f"{result['texts']} STS sentences as documents ({result['vectors_a_document']:.1f} vectors each)"
    scored = (
        f"{late['queries']} queries with {late['documents']} documents: {ours:.0f} ms here, {theirs:.0f} ms in torch"
    )
    return [
        f"{documents} and as queries ({_EXPANDED} tokens each), on",
        f"the real all-MiniLM-L6-v2 with a random projection to {_DIM}. MaxSim of {scored}.",
        f"Measured {result['date']} on {machine['threads']} cores of an {machine['cpu']}, {versions};",
        "rounds interleaved, medians.",
    ]


def _shown(one: dict[str, Any], name: str, form: str) -> str:
    return format(one[name], form) if name in one else "–"


def _measured(checkpoint: Path, artifact: Path, texts: list[str]) -> dict[str, Any]:
    import torch
    from sentence_transformers import MultiVectorEncoder as Original

    threads = available_threads()
    torch.set_num_threads(threads)
    original = Original(str(checkpoint), device="cpu")
    ours = {name: MultiVectorEncoder(artifact, variant=name, threads=threads) for name in ("fp32", *_VARIANTS)}
    encoders: dict[str, Any] = {_ORIGINAL: original, **{f"embedrt {name}": encoder for name, encoder in ours.items()}}
    documents = _seconds({name: _call(one.encode_document, texts) for name, one in encoders.items()}, "documents")
    queries = _seconds({name: _call(one.encode_query, texts) for name, one in encoders.items()}, "queries")
    expected = original.encode_document(texts, convert_to_numpy=True)
    found = ours["fp32"].encode_document(texts)
    difference = max(float(np.abs(one - other).max()) for one, other in zip(found, expected, strict=True))
    if difference > 1e-5:
        raise SystemExit(f"the float32 graph differs by {difference:.1e}: these times mean nothing")
    manifest = Manifest.from_json((artifact / MANIFEST_FILE).read_bytes())
    return {
        "texts": len(texts),
        "vectors_a_document": sum(len(one) for one in found) / len(texts),
        "max_abs_difference": difference,
        "engines": {
            name: {
                "documents_per_second": len(texts) / statistics.median(documents[name]),
                "queries_per_second": len(texts) / statistics.median(queries[name]),
                "documents_seconds": documents[name],
                "queries_seconds": queries[name],
                "megabytes": _megabytes(name, checkpoint, artifact, manifest),
                **_fidelity(manifest, name.removeprefix("embedrt ")),
            }
            for name in encoders
        },
        "maxsim": _maxsim(original, ours["fp32"], texts),
    }


def _maxsim(original: Any, ours: MultiVectorEncoder, texts: list[str]) -> dict[str, Any]:
    """Scores of some queries against all documents, from the same vectors: seconds of each."""
    queries, documents = ours.encode_query(texts[:_QUERIES]), ours.encode_document(texts)
    found = ours.similarity(queries, documents)
    seconds = _seconds(
        {
            "embedrt": _call(ours.similarity, queries, documents),
            _ORIGINAL: _call(original.similarity, queries, documents),
        },
        "MaxSim",
    )
    difference = float(np.abs(found - original.similarity(queries, documents).numpy()).max())
    return {"queries": len(queries), "documents": len(documents), "max_abs_difference": difference, "seconds": seconds}


def _call(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    return lambda: function(*arguments)


def _seconds(engines: Engines, title: str) -> dict[str, list[float]]:
    """Of each engine in each round, A B C A B C, behind one round that does not count."""
    found: dict[str, list[float]] = {name: [] for name in engines}
    for number in tqdm(range(_ROUNDS + 1), desc=title, unit="round", disable=None, leave=False):
        for name, run in engines.items():
            gc.collect()
            time.sleep(_PAUSE)
            began = time.perf_counter()
            run()
            if number:
                found[name].append(time.perf_counter() - began)
    return found


def _megabytes(name: str, checkpoint: Path, artifact: Path, manifest: Manifest) -> float:
    if name.startswith("embedrt"):
        return manifest.files[manifest.variants[name.removeprefix("embedrt ")].file].bytes / 1e6
    return sum(path.stat().st_size for path in checkpoint.rglob("*.safetensors")) / 1e6


def _fidelity(manifest: Manifest, variant: str) -> dict[str, float]:
    if variant not in manifest.variants or variant == "fp32":
        return {}
    parity = manifest.variants[variant].parity
    return {"cosine_mean": parity.cosine_mean, "cosine_min": parity.cosine_min, **parity.measures}


if __name__ == "__main__":
    main()
