"""The whole story of a file of word vectors: read → count → weigh → write → verify → pack. No PyTorch."""

import importlib.metadata
from pathlib import Path

from embedrt_export.graphs.tidy import drop_unused
from embedrt_export.packing.card import model_card
from embedrt_export.packing.writing import file_records, staging, write_graph, write_manifest
from embedrt_export.quantization.tables import halve_tables, quantize_tables
from embedrt_export.stages import Stages
from embedrt_export.words.graph import OPSET, word_graph
from embedrt_export.words.options import Table, WordVectorOptions
from embedrt_export.words.preparing import Prepared, prepare
from embedrt_export.words.reading import read_word_vectors
from embedrt_export.words.verifying import compared, require_faithful

from embedrt.artifact.derivation import Derivation
from embedrt.artifact.folder import WORDS_FILE
from embedrt.artifact.manifest import Manifest, Serving, Source, Variant
from embedrt.text.words import write_words

__all__ = ["NO_ATTENTION", "export_word_vectors"]

NO_ATTENTION = "none"
"""What a variant's ``attention`` says of graphs that begin with a table."""
_LIBRARIES = ("onnx", "onnx-ir", "onnxruntime", "numpy")
_FILES: dict[Table, str] = {
    "fp32": "onnx/model.onnx",
    "fp16": "onnx/model_fp16.onnx",
    "int8": "onnx/model_int8.onnx",
}


def export_word_vectors(
    file: str | Path,
    out: str | Path,
    *,
    options: WordVectorOptions | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> Manifest:
    """A file of word vectors to an artifact whose vectors are pooled words. No PyTorch.

    Args:
        file: GloVe's or word2vec's text, word2vec's binary, or gensim's KeyedVectors.
        out: the folder to write; it appears whole or not at all.
        options: how texts are cut and pooled, and what is done against frequent words.
        overwrite: replace ``out`` if it is an artifact.
        quiet: print no progress on stderr.

    Raises:
        CheckpointError: the file is none of these, or damaged; the message names the line.
        InputError: ``out`` is taken, or the corpus cannot be used.
        ParityError: the graph does not agree with the same arithmetic in numpy; nothing was written.
        FidelityError: the rounded table is too far from the exact one; nothing was written.
    """
    wanted, stages, path = options or WordVectorOptions(), Stages(quiet=quiet), Path(file).expanduser()
    with staging(Path(out), overwrite=overwrite) as folder:
        vectors = read_word_vectors(path, quiet=stages.bars_hidden)
        for note in vectors.notes:
            stages.note(f"note: {path.name} {note}")
        stages.note(f"read: {len(vectors.words) - 1} words, {vectors.dimension} wide")
        prepared = prepare(vectors, wanted, stages)
        write_words(folder / WORDS_FILE, prepared.rules, prepared.words)
        serving = Serving(
            dimension=vectors.dimension * len(wanted.pooling), pooling=wanted.pooling, normalize=wanted.normalize
        )
        variant = _verified_graph(prepared, wanted, serving, folder, stages)
        libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
        derivation = Derivation(unit_words=wanted.unit_rows, weighting=prepared.made)
        source = Source(model=path.name, libraries=libraries, derivation=derivation.if_any())
        with stages.stage("pack"):
            return _packed(folder, source, serving, variant)


def _verified_graph(
    prepared: Prepared, wanted: WordVectorOptions, serving: Serving, folder: Path, stages: Stages
) -> Variant:
    file = _FILES[wanted.table]
    with stages.stage("write") as facts:
        graph = word_graph(prepared.model, dimension=serving.dimension)
        if wanted.table != "fp32":
            (quantize_tables if wanted.table == "int8" else halve_tables)(graph, smallest=0)
            drop_unused(graph)
        write_graph(graph, folder / file, serving)
        facts.append(f"{(folder / file).stat().st_size / 1e6:.1f} MB, {wanted.table} rows")
    with stages.stage("verify") as facts:
        found = compared(prepared, folder / file, folder / WORDS_FILE, serving)
        facts.append(f"max |Δ| {found.parity.max_abs_difference:.1e}, cosine min {found.parity.cosine_min:.6f}")
        require_faithful(found, wanted.table)
    return Variant(file=file, precision=wanted.table, opset=OPSET, attention=NO_ATTENTION, parity=found.parity)


def _packed(folder: Path, source: Source, serving: Serving, variant: Variant) -> Manifest:
    variants = {variant.precision: variant}
    (folder / "README.md").write_text(model_card(source, serving, variants), encoding="utf-8")
    manifest = Manifest(
        serving=serving,
        source=source,
        default_variant=variant.precision,
        variants=variants,
        files=file_records(folder),
    )
    write_manifest(manifest, folder)
    return manifest
