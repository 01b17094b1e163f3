"""A graph of word vectors against its definition: at the export, and any time after it from the file again. No PyTorch."""

import dataclasses
from pathlib import Path
from typing import cast

from embedrt_export.parity.comparison import Comparison
from embedrt_export.quantization.fidelity import DEFAULT_GATE, require_gate
from embedrt_export.stages import Stages
from embedrt_export.words.options import Weighting, WordVectorOptions
from embedrt_export.words.parity import compare_words, word_texts
from embedrt_export.words.preparing import Prepared, prepare
from embedrt_export.words.reading import read_word_vectors
from embedrt_export.words.reference import NAME, word_vectors_of

from embedrt.artifact.derivation import Derivation
from embedrt.artifact.folder import WORDS_FILE, check_files, locate, open_tokenizer
from embedrt.artifact.manifest import Manifest, Parity, Serving
from embedrt.errors import CheckpointError, InputError, ManifestError
from embedrt.text.segmenters import WordRules
from embedrt.text.words import read_words

__all__ = ["compared", "require_faithful", "verify_word_vectors"]


def verify_word_vectors(
    artifact: str | Path,
    *,
    against: str | Path,
    corpus: Path | None = None,
    variant: str | None = None,
    quiet: bool = False,
) -> tuple[Manifest, Parity]:
    """Repeat the comparison of an artifact with the file of word vectors that it was made of.

    Args:
        artifact: folder that :func:`~embedrt_export.words.job.export_word_vectors` wrote.
        against: the file.
        corpus: the texts that words were weighed by, if they were.
        variant: of the artifact; None: the manifest's default.
        quiet: no progress on stderr.

    Raises:
        IntegrityError: a file is not the one that the manifest names.
        CheckpointError: the file or the corpus is another one than the artifact was made of.
        InputError: the corpus is missing, or there was none.
        ParityError: the float32 graph differs by more than the tolerance.
        FidelityError: a rounded graph's mean cosine is below the gate.
    """
    stages, found = Stages(quiet=quiet), locate(artifact, variant=variant)
    if found.manifest is None or found.tokenizer.name != WORDS_FILE:
        raise ManifestError(
            f"{against} is a file, and {artifact} was not made of a file of word vectors: pass the folder or Hub id of the "
            "checkpoint that it was made of"
        )
    with stages.stage("hashes") as facts:
        check_files(found)
        facts.append(f"{len(found.manifest.files)} files named")
    rules, words = read_words(found.tokenizer)
    wanted = _asked(found.manifest, rules, corpus)
    vectors = read_word_vectors(Path(against).expanduser(), quiet=stages.bars_hidden)
    stages.note(f"read: {len(vectors.words) - 1} words, {vectors.dimension} wide")
    prepared = prepare(vectors, wanted, stages)
    _require_same_corpus(prepared, found.manifest)
    if prepared.words != words:
        raise CheckpointError(
            f"{against} has other words than {found.tokenizer}, {len(prepared.words) - 1} instead of {len(words) - 1}"
            f"{_first_difference(prepared.words, words)}: pass the file that the artifact was made of"
        )
    with stages.stage("compare") as facts:
        comparison = compared(prepared, found.graph, found.tokenizer, found.manifest.serving)
        facts.append(f"max |Δ| {comparison.parity.max_abs_difference:.1e}")
    require_faithful(comparison, found.manifest.variants[found.variant or ""].precision)
    return found.manifest, comparison.parity


def compared(prepared: Prepared, graph: Path, tokenizer: Path, serving: Serving) -> Comparison:
    """``graph`` against the definition, over the parity texts and texts of its own words."""
    texts = word_texts(prepared.words[1:], split=prepared.rules.split)
    tokens = open_tokenizer(tokenizer).encode(texts)
    expected = word_vectors_of(prepared.model, [tokens.row(row).tolist() for row in range(len(tokens))])
    return compare_words(graph, tokenizer, serving, texts, expected, reference=NAME)


def require_faithful(comparison: Comparison, precision: str) -> None:
    """That exact rows are exact, and rounded ones near enough."""
    if precision == "fp32":
        comparison.require(original="the same arithmetic in numpy")
    else:
        require_gate(comparison.parity, DEFAULT_GATE, [])


def _asked(manifest: Manifest, rules: WordRules, corpus: Path | None) -> WordVectorOptions:
    """What the export was asked for, as its artifact tells it."""
    derivation = manifest.source.derivation or Derivation()
    made = derivation.weighting
    if made is not None and corpus is None:
        raise InputError(f"words were weighed by a corpus of {made.texts} texts: pass it again, --corpus FILE")
    if made is None and corpus is not None:
        raise InputError("no corpus was needed for this artifact: leave --corpus out")
    dropped = made.dropped if made is not None else ()
    # dropped words stand behind those that were asked for
    given = rules.stop_words[: len(rules.stop_words) - len(dropped)]
    return WordVectorOptions(
        rules=dataclasses.replace(rules, stop_words=given),
        pooling=manifest.serving.pooling,
        normalize=manifest.serving.normalize,
        unit_rows=derivation.unit_words,
        weighting=cast("Weighting | None", made.weights or None) if made is not None else None,
        remove_component=made is not None and made.component_share is not None,
        drop_frequent=len(dropped),
        corpus=corpus,
    )


def _require_same_corpus(prepared: Prepared, manifest: Manifest) -> None:
    made = (manifest.source.derivation or Derivation()).weighting
    if made is not None and prepared.made is not None and made.texts != prepared.made.texts:
        raise CheckpointError(
            f"the corpus has {prepared.made.texts} texts, and the one of the export had {made.texts}: pass that one"
        )


def _first_difference(here: list[str], there: list[str]) -> str:
    place = next((at for at, (one, other) in enumerate(zip(here, there)) if one != other), None)
    return "" if place is None else f", and {here[place]!r} in place of {there[place]!r}"
