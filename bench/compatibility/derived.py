"""What is made of a checkpoint before it is traced, and checkpoints without a transformer: each really exported and compared."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
from embedrt_bench.compatibility.architectures import save_checkpoint
from embedrt_bench.compatibility.tokenizers import SENTENCES, TokenizerKind, small_tokenizer
from embedrt_export.changes import Changes
from embedrt_export.quantization import QuantizeOptions, quantize
from embedrt_export.quantization.calibration import calibration_texts
from embedrt_export.source.diagnosis import first_line
from model2vec import StaticModel
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from embedrt.artifact.manifest import Manifest
from embedrt.errors import EmbedrtError
from embedrt.progress import progress

__all__ = ["DERIVED", "Derived", "outcomes"]

_WIDTH = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """One row."""

    save: Callable[[Path], Path]
    """Makes the checkpoint in a folder."""
    note: str
    changes: dict[str, Any] = field(default_factory=dict)
    """Of :class:`embedrt_export.changes.Changes`; ``texts`` in place of a file is one with these texts."""


def _table(tokens: int) -> Any:
    return np.random.default_rng(0).normal(size=(tokens, _WIDTH)).astype(np.float32)


def _static(kind: TokenizerKind, folder: Path) -> Path:
    tokenizer = small_tokenizer(kind, max_length=48).backend_tokenizer
    module = StaticEmbedding(tokenizer, embedding_weights=_table(tokenizer.get_vocab_size()))
    SentenceTransformer(modules=[module, Normalize()], device="cpu").save(str(folder))
    return folder


def _model2vec(kind: TokenizerKind, folder: Path) -> Path:
    tokenizer = small_tokenizer(kind, max_length=48).backend_tokenizer
    StaticModel(vectors=_table(tokenizer.get_vocab_size()), tokenizer=tokenizer, normalize=True).save_pretrained(folder)
    return folder


_TRIM = {"keep_vocabulary_of": SENTENCES[:4]}
_WHITEN = {"whiten": calibration_texts(None), "dims": 16}

DERIVED: dict[str, Derived] = {
    "StaticEmbedding, WordPiece": Derived(save=partial(_static, "wordpiece"), note="sentence-transformers' module"),
    "StaticEmbedding, Unigram": Derived(save=partial(_static, "unigram"), note="sentence-transformers' module"),
    "Model2Vec, WordPiece": Derived(save=partial(_model2vec, "wordpiece"), note="a folder that model2vec wrote"),
    "Model2Vec, byte-level BPE": Derived(
        save=partial(_model2vec, "byte-level bpe"), note="a folder that model2vec wrote"
    ),
    "distilled BERT": Derived(
        save=partial(save_checkpoint, "bert", pooling="mean"), note="--static", changes={"static": True}
    ),
    "distilled XLM-R": Derived(save=partial(save_checkpoint, "xlm-roberta"), note="--static", changes={"static": True}),
    "trimmed BERT, WordPiece": Derived(
        save=partial(save_checkpoint, "bert"), note="--keep-vocabulary-of", changes=_TRIM
    ),
    "trimmed XLM-R, Unigram": Derived(
        save=partial(save_checkpoint, "xlm-roberta"), note="--keep-vocabulary-of", changes=_TRIM
    ),
    "trimmed RoBERTa, byte-level BPE": Derived(
        save=partial(save_checkpoint, "roberta"), note="--keep-vocabulary-of", changes=_TRIM
    ),
    "trimmed Qwen3, padded on the left": Derived(
        save=partial(save_checkpoint, "qwen3"), note="--keep-vocabulary-of", changes=_TRIM
    ),
    "whitened BERT": Derived(save=partial(save_checkpoint, "bert", pooling="mean"), note="--whiten", changes=_WHITEN),
    "trimmed and whitened MPNet": Derived(
        save=partial(save_checkpoint, "mpnet"), note="--keep-vocabulary-of, --whiten", changes=_TRIM | _WHITEN
    ),
    "trimmed and distilled BERT": Derived(
        save=partial(save_checkpoint, "bert"), note="--keep-vocabulary-of, --static", changes=_TRIM | {"static": True}
    ),
}


def outcomes(rows: dict[str, Derived]) -> dict[str, dict[str, Any]]:
    """Export every row, quantize it, and tell; of a row that is refused, the ``problem``."""
    found: dict[str, dict[str, Any]] = {}
    with progress(len(rows), shown=True, doing="Exporting derived", unit="model") as advance:
        for name, row in rows.items():
            with tempfile.TemporaryDirectory() as place:
                found[name] = {"note": row.note, **_outcome_or_problem(row, Path(place))}
            advance(1)
    return found


def _outcome_or_problem(row: Derived, place: Path) -> dict[str, Any]:
    try:
        return _outcome(row, place)
    except EmbedrtError as refused:
        return {"problem": _told(refused, place)}


def _outcome(row: Derived, place: Path) -> dict[str, Any]:
    checkpoint = row.save(place / "checkpoint")
    manifest = embedrt_export.export(str(checkpoint), place / "out", changes=_changes(row, place), quiet=True)
    derivation = manifest.source.derivation
    return {
        "difference": manifest.variants["fp32"].parity.max_abs_difference,
        **_int8(place / "out"),
        "told": "; ".join(derivation.sentences()) if derivation is not None else "",
    }


def _told(refused: EmbedrtError, place: Path) -> str:
    """The beginning of its message, without the folder that is gone by then."""
    return first_line(refused).replace(f"{place}/", "")


def _changes(row: Derived, place: Path) -> Changes:
    options = dict(row.changes)
    for name in ("keep_vocabulary_of", "whiten"):
        if name in options:
            file = place / f"{name}.txt"
            file.write_text("\n".join(options[name]), encoding="utf-8")
            options[name] = (file,) if name == "keep_vocabulary_of" else file
    return Changes(**options)


def _int8(artifact: Path) -> dict[str, Any]:
    """Mean cosine to float32; None and the reason where none is made, as of the small tables of these distillations."""
    try:
        made: Manifest = quantize(artifact, "int8", options=QuantizeOptions(allow_below_gate=True), quiet=True)
    except EmbedrtError as refused:
        return {"int8": None, "int8_problem": _told(refused, artifact)}
    return {"int8": made.variants["int8"].parity.cosine_mean}
