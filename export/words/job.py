"""The whole story of a file of word vectors: read → count → weigh → write → verify → pack. No PyTorch."""

import dataclasses
import importlib.metadata
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from embedrt_export.graft.chain import Normalize
from embedrt_export.graphs.tidy import drop_unused
from embedrt_export.packing.card import model_card
from embedrt_export.packing.writing import file_records, staging, write_graph, write_manifest
from embedrt_export.quantization.fidelity import DEFAULT_GATE, require_gate
from embedrt_export.quantization.tables import halve_tables, quantize_tables
from embedrt_export.stages import Stages
from embedrt_export.words.component import first_component, mean_vectors, remove_component
from embedrt_export.words.frequency import corpus_rows, count_words, frequent_words, word_weights
from embedrt_export.words.graph import OPSET, word_graph
from embedrt_export.words.model import WordModel, WordWeights
from embedrt_export.words.options import Table, WordVectorOptions
from embedrt_export.words.parity import compare_words, word_texts
from embedrt_export.words.reading import read_word_vectors
from embedrt_export.words.reference import NAME, word_vectors_of
from embedrt_export.words.vectors import WordVectors, without_rows

from embedrt.artifact.derivation import Derivation, WordWeighting
from embedrt.artifact.folder import WORDS_FILE, open_tokenizer
from embedrt.artifact.manifest import Manifest, Serving, Source, Variant
from embedrt.text.segmenters import WordRules, segmenter_for
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """Word vectors with everything done to them that a corpus was needed for."""

    words: list[str]
    rules: WordRules
    model: WordModel
    made: WordWeighting | None


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
        vectors = read_word_vectors(path, quiet=quiet or not sys.stderr.isatty())
        for note in vectors.notes:
            stages.note(f"note: {path.name} {note}")
        stages.note(f"read: {len(vectors.words) - 1} words, {vectors.dimension} wide")
        prepared = _prepared(vectors, wanted, stages)
        write_words(folder / WORDS_FILE, prepared.rules, prepared.words)
        serving = Serving(
            dimension=vectors.dimension * len(wanted.pooling), pooling=wanted.pooling, normalize=wanted.normalize
        )
        variant = _verified_graph(prepared, wanted, serving, folder, stages)
        libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
        derivation = Derivation(weighting=prepared.made) if prepared.made else None
        source = Source(model=path.name, libraries=libraries, derivation=derivation)
        with stages.stage("pack"):
            return _packed(folder, source, serving, variant)


def _prepared(vectors: WordVectors, wanted: WordVectorOptions, stages: Stages) -> _Prepared:
    """Units, weights, dropped words and the removed component, in this order."""
    if wanted.unit_rows:
        _to_unit_length(vectors)
    finish = (Normalize(),) if wanted.normalize else ()
    plain = WordModel(table=vectors.rows, pooling=wanted.pooling, finish=finish)
    prepared = _Prepared(words=vectors.words, rules=wanted.rules, model=plain, made=None)
    if wanted.corpus is None:
        return prepared
    segmenter = segmenter_for(wanted.rules, vectors.words)
    counts = count_words(
        corpus_rows(segmenter, wanted.corpus, doing="Counting words", quiet=stages.quiet or not sys.stderr.isatty()),
        len(vectors.words),
        wanted.corpus,
    )
    made = WordWeighting(weights=wanted.weighting or "", texts=counts.texts)
    if wanted.weighting is not None:
        weights = word_weights(counts, wanted.weighting)
        if wanted.weighting == "sif":  # divided by the number of words, so the table can hold it
            np.multiply(plain.table, weights[:, None], out=plain.table)
        else:
            plain = dataclasses.replace(plain, on_tokens=(WordWeights(weights=weights),))
    prepared = dataclasses.replace(prepared, model=plain, made=made)
    if wanted.drop_frequent:
        prepared = _dropped(prepared, frequent_words(counts, wanted.drop_frequent))
    return _without_component(prepared, wanted, stages) if wanted.remove_component else prepared


def _to_unit_length(vectors: WordVectors) -> None:
    lengths = np.linalg.norm(vectors.rows, axis=1, keepdims=True)
    np.divide(vectors.rows, np.where(lengths > 0, lengths, 1), out=vectors.rows)


def _dropped(prepared: _Prepared, numbers: list[int]) -> _Prepared:
    """Without the words of these ids, which become stop words too: else their lower-case forms would be looked up."""
    dropped = tuple(prepared.words[number] for number in numbers)
    gone = set(numbers)
    words = [word for number, word in enumerate(prepared.words) if number not in gone]
    modules = tuple(
        WordWeights(weights=np.delete(module.weights, numbers)) if isinstance(module, WordWeights) else module
        for module in prepared.model.on_tokens
    )
    table = without_rows(prepared.model.table, numbers)
    rules = dataclasses.replace(prepared.rules, stop_words=(*prepared.rules.stop_words, *dropped))
    assert prepared.made is not None  # noqa: S101  there was a corpus
    return _Prepared(
        words=words,
        rules=rules,
        model=dataclasses.replace(prepared.model, table=table, on_tokens=modules),
        made=dataclasses.replace(prepared.made, dropped=dropped),
    )


def _without_component(prepared: _Prepared, wanted: WordVectorOptions, stages: Stages) -> _Prepared:
    assert wanted.corpus is not None  # noqa: S101  the options saw to it
    assert prepared.made is not None  # noqa: S101
    segmenter = segmenter_for(prepared.rules, prepared.words)
    rows = corpus_rows(
        segmenter, wanted.corpus, doing="Removing a component", quiet=stages.quiet or not sys.stderr.isatty()
    )
    component, share = first_component(mean_vectors(prepared.model, chunk) for chunk in rows)
    remove_component(prepared.model.table, component)
    stages.note(f"component: {share:.1%} of the corpus's vectors removed")
    return dataclasses.replace(prepared, made=dataclasses.replace(prepared.made, component_share=share))


def _verified_graph(
    prepared: _Prepared, wanted: WordVectorOptions, serving: Serving, folder: Path, stages: Stages
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
        texts = word_texts(prepared.words[1:], split=prepared.rules.split)
        tokens = open_tokenizer(folder / WORDS_FILE).encode(texts)
        expected = word_vectors_of(prepared.model, [tokens.row(row).tolist() for row in range(len(tokens))])
        compared = compare_words(folder / file, folder / WORDS_FILE, serving, texts, expected, reference=NAME)
        facts.append(f"max |Δ| {compared.parity.max_abs_difference:.1e}, cosine min {compared.parity.cosine_min:.6f}")
        if wanted.table == "fp32":
            compared.require(original="the same arithmetic in numpy")
        else:
            require_gate(compared.parity, DEFAULT_GATE, [])
    return Variant(file=file, precision=wanted.table, opset=OPSET, attention=NO_ATTENTION, parity=compared.parity)


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
