"""Word vectors with everything done to them before they are written: units, weights, dropped words, a removed component."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from embedrt_export.graft.chain import Normalize
from embedrt_export.stages import Stages
from embedrt_export.words.component import first_component, mean_vectors, remove_component
from embedrt_export.words.frequency import corpus_rows, count_words, frequent_words, word_weights
from embedrt_export.words.model import WordModel, WordWeights
from embedrt_export.words.options import WordVectorOptions
from embedrt_export.words.vectors import WordVectors, without_rows

from embedrt.artifact.derivation import WordWeighting
from embedrt.text.segmenters import WordRules, phrases_among, segmenter_for

__all__ = ["Prepared", "prepare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is written, and what was done by a corpus."""

    words: list[str]
    rules: WordRules
    model: WordModel
    made: WordWeighting | None


def prepare(vectors: WordVectors, wanted: WordVectorOptions, stages: Stages) -> Prepared:
    """Units, weights, dropped words and the removed component, in this order; the rows of ``vectors`` are taken over."""
    if wanted.unit_rows:
        _to_unit_length(vectors)
    finish = (Normalize(),) if wanted.normalize else ()
    plain = WordModel(table=vectors.rows, pooling=wanted.pooling, finish=finish)
    prepared = Prepared(words=vectors.words, rules=wanted.rules, model=plain, made=None)
    if wanted.corpus is None:
        return prepared
    segmenter = segmenter_for(wanted.rules, vectors.words)
    counts = count_words(
        corpus_rows(segmenter, wanted.corpus, doing="Counting words", quiet=stages.bars_hidden),
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


def _dropped(prepared: Prepared, numbers: list[int]) -> Prepared:
    """Without the words of these ids, which become stop words too: else their lower-case forms would be looked up.

    Phrases stay in the vocabulary: else their words would not be joined, and each be looked up.
    """
    dropped = tuple(prepared.words[number] for number in numbers)
    phrases = set(phrases_among(dropped, prepared.rules))
    numbers = [number for number, word in zip(numbers, dropped, strict=True) if word not in phrases]
    gone = set(numbers)
    words = [word for number, word in enumerate(prepared.words) if number not in gone]
    modules = tuple(
        WordWeights(weights=np.delete(module.weights, numbers)) if isinstance(module, WordWeights) else module
        for module in prepared.model.on_tokens
    )
    table = without_rows(prepared.model.table, numbers)
    rules = dataclasses.replace(prepared.rules, stop_words=(*prepared.rules.stop_words, *dropped))
    assert prepared.made is not None  # noqa: S101  there was a corpus
    return Prepared(
        words=words,
        rules=rules,
        model=dataclasses.replace(prepared.model, table=table, on_tokens=modules),
        made=dataclasses.replace(prepared.made, dropped=dropped),
    )


def _without_component(prepared: Prepared, wanted: WordVectorOptions, stages: Stages) -> Prepared:
    assert wanted.corpus is not None  # noqa: S101  the options saw to it
    assert prepared.made is not None  # noqa: S101
    segmenter = segmenter_for(prepared.rules, prepared.words)
    rows = corpus_rows(segmenter, wanted.corpus, doing="Removing a component", quiet=stages.bars_hidden)
    component, share = first_component(mean_vectors(prepared.model, chunk) for chunk in rows)
    remove_component(prepared.model.table, component)
    stages.note(f"component: {share:.1%} of the corpus's vectors removed")
    return dataclasses.replace(prepared, made=dataclasses.replace(prepared.made, component_share=share))
