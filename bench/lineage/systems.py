"""The systems of the table: all of them made of the real all-MiniLM-L6-v2, each an artifact under .cache/lineage."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import numpy.typing as npt
from embedrt_bench.models.cached import CACHE, cached
from embedrt_bench.models.minilm import checkpoint_folder
from embedrt_bench.texts.data import required_data_folder, sts_benchmark
from embedrt_export.changes import Changes
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding

__all__ = ["CORPUS", "SYSTEMS", "System", "artifact_of", "corpus_file", "inverse_document_frequencies"]

PLACE = CACHE / "lineage"
CORPUS = "the sentences of the STS benchmark's development set"
_POOLINGS = {
    "CLS": "cls",
    "max": "max",
    "mean": "mean",
    "mean, sqrt of length": "mean_sqrt_len_tokens",
    "mean, weighted by position": "weightedmean",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One row of the table."""

    name: str
    what: str
    """How a vector comes about, in a few words."""
    save: Callable[[Path], Path]
    """Makes the checkpoint in a folder."""
    whitened: bool = False
    static: bool = False
    """Whether it is distilled."""

    @property
    def folder(self) -> Path:
        """Where its artifact is."""
        return PLACE / self.name.replace(", ", "-").replace(" ", "-").lower()


def _pooled(mode: str, folder: Path) -> Path:
    """MiniLM's transformer with another pooling, and no normalization."""
    model = SentenceTransformer(str(checkpoint_folder()), device="cpu")
    width = model.get_embedding_dimension()
    SentenceTransformer(modules=[model[0], Pooling(width, pooling_mode=mode)], device="cpu").save(str(folder))
    return folder


def _whole(_folder: Path) -> Path:
    return checkpoint_folder()


def _words(folder: Path, *, idf: bool) -> Path:
    """The mean of what the transformer reads: rows of its word embeddings, without positions and without layers."""
    model = SentenceTransformer(str(checkpoint_folder()), device="cpu")
    table = model[0].auto_model.get_input_embeddings().weight.detach().numpy()  # (tokens, width)
    tokenizer = model.tokenizer.backend_tokenizer
    if idf:
        table = table * inverse_document_frequencies(tokenizer, _sentences(), len(table))[:, None]
    static = StaticEmbedding(tokenizer, embedding_weights=table.astype(np.float32))
    SentenceTransformer(modules=[static], device="cpu").save(str(folder))
    return folder


def inverse_document_frequencies(tokenizer: Any, texts: list[str], tokens: int) -> npt.NDArray[np.float64]:
    """log((1 + texts) / (1 + texts with the token)) of each token, (tokens,)."""
    found = np.zeros(tokens)
    for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
        found[list(set(encoding.ids))] += 1
    return np.asarray(np.log((1 + len(texts)) / (1 + found)))


def _sentences() -> list[str]:
    pairs = sts_benchmark(required_data_folder(), "dev")
    return list(dict.fromkeys([*pairs.first, *pairs.second]))


def corpus_file() -> Path:
    """A file of :data:`CORPUS`, a text a line, each once."""
    path = PLACE / "corpus.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(_sentences()), encoding="utf-8")
    return path


def _pooling_rows() -> list[System]:
    rows = []
    for name, mode in _POOLINGS.items():
        rows += [
            System(name=name, what=f"MiniLM, {name} pooling", save=partial(_pooled, mode)),
            System(
                name=f"{name}, whitened",
                what=f"MiniLM, {name} pooling, whitened",
                save=partial(_pooled, mode),
                whitened=True,
            ),
        ]
    return rows


SYSTEMS: tuple[System, ...] = (
    *_pooling_rows(),
    System(name="static", what="MiniLM distilled into 256 numbers a token", save=_whole, static=True),
    System(name="words", what="mean of MiniLM's own word embeddings", save=partial(_words, idf=False)),
    System(name="words, idf", what="the same, weighted by idf", save=partial(_words, idf=True)),
    System(
        name="words, whitened",
        what="mean of MiniLM's own word embeddings, whitened",
        save=partial(_words, idf=False),
        whitened=True,
    ),
)


def artifact_of(system: System) -> Path:
    """The system's artifact."""

    def make() -> None:
        place = system.folder.with_suffix(".checkpoint")
        checkpoint = system.save(place)
        changes = Changes(static=system.static, whiten=corpus_file() if system.whitened else None)
        embedrt_export.export(str(checkpoint), system.folder, changes=changes, overwrite=True)
        shutil.rmtree(place, ignore_errors=True)

    cached(system.folder, make)
    return system.folder
