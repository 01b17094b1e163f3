"""Late interaction beside sentence-transformers: ``python -m embedrt_bench.kinds.multi_vector``, bench/results/multi_vector.json.

No trained ColBERT is at hand, so its shape is: the real all-MiniLM-L6-v2 with a random projection from 384 to 128, queries
expanded to 32 tokens. That has a real one's cost; its ranking means less than a trained one's.
"""

import statistics
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import embedrt_export
from embedrt_bench.command import errors_told, measuring
from embedrt_bench.documents import DOCS, heading, versions, with_blocks
from embedrt_bench.kinds.agreement import require_equal, require_near
from embedrt_bench.kinds.beside import ORIGINAL, fidelity, interleaved, megabytes, sts_sample
from embedrt_bench.models.cached import CACHE, cached
from embedrt_bench.models.minilm import checkpoint_folder
from embedrt_bench.results import RESULTS, read_result, write_result
from embedrt_export.quantization import Precision, QuantizeOptions

from embedrt import MultiVectorEncoder
from embedrt.artifact.manifest import MANIFEST_FILE, Manifest
from embedrt.inference.layout import default_layout
from embedrt.machine.threads import available_threads

__all__ = ["main", "save_stand_in", "with_table"]

_RESULT, _DOCUMENT = RESULTS / "multi_vector.json", DOCS / "multi-vector.md"

_TEXTS, _QUERIES, _ROUNDS = 256, 32, 7
_WIDTH, _DIM, _EXPANDED = 384, 128, 32
_CLOSE, _CLOSE_SCORES = 1e-5, 1e-4
"""Largest differences to the original, of vectors and of sums of 32 products, before a time counts."""
_VARIANTS: tuple[Precision, ...] = ("int8", "int8-static")


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


@errors_told()
def main() -> None:
    """Measure, interleaved, write the result, and bring it into the document unless the result goes elsewhere."""
    asked = measuring(__doc__, output=_RESULT, rounds=_ROUNDS).parse_args()
    folder, texts = sts_sample(_TEXTS)
    checkpoint, artifact = CACHE / "multi-vector" / "checkpoint", CACHE / "multi-vector" / "artifact"

    def make() -> None:
        options = QuantizeOptions(allow_below_gate=True, sts=folder / "sts-en")
        made = str(save_stand_in(checkpoint))
        embedrt_export.export(made, artifact, precisions=_VARIANTS, quantize_options=options, overwrite=True)

    cached(artifact, make)
    write_result(asked.output, _measured(checkpoint, artifact, texts, rounds=asked.rounds))
    if asked.output == _RESULT:
        _DOCUMENT.write_text(with_table(_DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


def with_table(text: str, results: Path = RESULTS) -> str:
    """``text`` with its table of speeds made anew from the result file."""
    result = read_result(results / _RESULT.name)
    return with_blocks(text, "late", lambda _name: _table(result))


def _table(result: dict[str, Any]) -> str:
    engines = result["engines"]
    original = engines[ORIGINAL]
    rows = [
        f"| {name} | {one['documents_per_second']:.0f} | {one['documents_per_second'] / original['documents_per_second']:.1f} × "
        f"| {one['queries_per_second']:.0f} | {one['queries_per_second'] / original['queries_per_second']:.1f} × "
        f"| {one['megabytes']:.0f} | {_shown(one, 'cosine_mean', '.4f')} | {_shown(one, 'maxsim_rank_correlation', '.4f')} "
        f"| {_shown(one, 'ndcg_change', '+.2f')} |"
        for name, one in engines.items()
    ]
    measured = ("MB", "cosine of tokens", "rank correlation", "nDCG@10")
    lines = [*heading(["engine", "documents/s", "", "queries/s", "", *measured]), *rows, "", *_notes(result)]
    return "\n".join(lines)


def _notes(result: dict[str, Any]) -> list[str]:
    """What was measured, and on what."""
    machine, late = result["machine"], result["maxsim"]
    ours, theirs = (1e3 * statistics.median(late["seconds"][name]) for name in ("embedrt", ORIGINAL))
    documents = f"{result['texts']} STS sentences as documents ({result['vectors_a_document']:.1f} vectors each)"
    scored = (
        f"{late['queries']} queries with {late['documents']} documents: {ours:.0f} ms here, {theirs:.0f} ms in torch"
    )
    return [
        f"{documents} and as queries ({_EXPANDED} tokens each), on",
        f"the real all-MiniLM-L6-v2 with a random projection to {_DIM}. MaxSim of {scored}.",
        f"Measured {result['date']} on {machine['threads']} cores of an {machine['cpu']}, {versions(result)};",
        "rounds interleaved, medians.",
    ]


def _shown(one: dict[str, Any], name: str, form: str) -> str:
    return format(one[name], form) if name in one else "–"


def _measured(checkpoint: Path, artifact: Path, texts: list[str], *, rounds: int) -> dict[str, Any]:
    import torch
    from sentence_transformers import MultiVectorEncoder as Original

    threads = available_threads()
    torch.set_num_threads(threads)
    original = Original(str(checkpoint), device="cpu")
    layout = default_layout(threads)
    ours = {name: MultiVectorEncoder(artifact, variant=name, layout=layout) for name in ("fp32", *_VARIANTS)}
    encoders: dict[str, Any] = {ORIGINAL: original, **{f"embedrt {name}": encoder for name, encoder in ours.items()}}
    differences = {role: _compared(role, original, ours, texts) for role in ("document", "query")}
    seconds = {
        role: interleaved(
            {name: partial(getattr(one, f"encode_{role}"), texts) for name, one in encoders.items()},
            rounds=rounds, title=role,
        )
        for role in differences
    }  # fmt: skip
    documents, queries = seconds.values()
    found = ours["fp32"].encode_document(texts)
    manifest = Manifest.from_json((artifact / MANIFEST_FILE).read_bytes())
    return {
        "texts": len(texts),
        "rounds": rounds,
        "vectors_a_document": sum(len(one) for one in found) / len(texts),
        "max_abs_difference": max(differences.values()),
        "engines": {
            name: {
                "documents_per_second": len(texts) / statistics.median(documents[name]),
                "queries_per_second": len(texts) / statistics.median(queries[name]),
                "documents_seconds": documents[name],
                "queries_seconds": queries[name],
                "megabytes": megabytes(name, checkpoint, manifest),
                **fidelity(name, manifest),
            }
            for name in encoders
        },
        "maxsim": _maxsim(original, ours["fp32"], texts, rounds=rounds),
    }


def _compared(role: str, original: Any, ours: Mapping[str, MultiVectorEncoder], texts: list[str]) -> float:
    """The largest difference of float32's vectors in a ``role`` to the original's; a wrong encoder ends the run."""
    expected = getattr(original, f"encode_{role}")(texts, convert_to_numpy=True)
    for name, encoder in ours.items():
        found = getattr(encoder, f"encode_{role}")(texts)
        if name == "fp32":
            difference = require_equal(f"embedrt {name}", found, expected, at_most=_CLOSE)
        else:
            require_near(f"embedrt {name}", found, expected)
    return difference


def _maxsim(original: Any, ours: MultiVectorEncoder, texts: list[str], *, rounds: int) -> dict[str, Any]:
    """Scores of some queries against all documents, from the same vectors: seconds of each."""
    queries, documents = ours.encode_query(texts[:_QUERIES]), ours.encode_document(texts)
    found, expected = ours.similarity(queries, documents), original.similarity(queries, documents).numpy()
    difference = require_equal("embedrt's MaxSim", found, expected, at_most=_CLOSE_SCORES)
    runs = {
        "embedrt": partial(ours.similarity, queries, documents),
        ORIGINAL: partial(original.similarity, queries, documents),
    }
    seconds = interleaved(runs, rounds=rounds, title="MaxSim")
    return {"queries": len(queries), "documents": len(documents), "max_abs_difference": difference, "seconds": seconds}


if __name__ == "__main__":
    main()
