"""A file of texts as vectors of any kind: which class encodes them, and what becomes of a record. A kind is a function here."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

from embedrt.artifact.folder import locate
from embedrt.cli.asked import Asked
from embedrt.corpus.kinds import Kind, kinds_of
from embedrt.corpus.lines import Record, as_json
from embedrt.corpus.writing import EMBEDDING_FIELD
from embedrt.errors import InputError, KindError
from embedrt.inference.runner import windows
from embedrt.multi_vector_encoder import MultiVectorEncoder
from embedrt.progress import progress
from embedrt.sparse.forms import in_form
from embedrt.sparse_encoder import SparseEncoder

__all__ = ["JSONL_KINDS", "kind_of_model", "require_options_of", "write_records"]

Fields = dict[str, Any]
"""What a record gets beside its own fields."""


def kind_of_model(model: str, *, variant: str | None, revision: str | None) -> Kind:
    """The model's own kind by its manifest; ``dense`` where there is none.

    Raises:
        KindError: it gives no vectors.
    """
    manifest = locate(model, variant=variant, revision=revision).manifest
    if manifest is None:
        return "dense"
    if manifest.serving.kind == "cross-encoder":
        raise KindError(f"{model} scores pairs of texts and embeds none: type embedrt rerank {model} QUERY DOCUMENTS")
    return kinds_of(manifest.serving, None, where=model)[0]


def require_options_of(kind: Kind, **own: Mapping[str, object]) -> None:
    """Refuse options that vectors of this kind do not have; ``own``: the values of those of another kind, by name.

    Raises:
        InputError: one is given.
    """
    for other, options in own.items():
        given = [f"--{name}" for name, value in options.items() if value]
        if kind != other and given:
            raise InputError(
                f"{', '.join(given)} is for {other} vectors: leave it out for {kind} ones, or add --kind {other} where the "
                "model gives those too"
            )


def write_records(kind: Kind, file: IO[bytes], records: Sequence[Record], texts: list[str], asked: Asked) -> None:
    """A JSON object a line: the record's fields, and its vectors of ``kind``, written as they come."""
    with progress(len(texts), shown=asked.shown) as advance:
        for record, fields in zip(records, JSONL_KINDS[kind](texts, asked), strict=True):
            file.write(f"{as_json({**record, **fields})}\n".encode())
            advance(1)


def _multi_vector(texts: Iterable[str], asked: Asked) -> Iterator[Fields]:
    """``embedding``: a list of vectors, one a token."""
    with asked.opened(MultiVectorEncoder) as encoder:
        vectors = encoder.encode_iter(
            texts,
            task=asked.role,
            prompt_name=asked.prompt_name,
            prompt=asked.prompt,
            batch_size=asked.batch_size,
        )
        for one in vectors:
            yield {EMBEDDING_FIELD: one.tolist()}


def _sparse(texts: Iterable[str], asked: Asked) -> Iterator[Fields]:
    """``embedding`` in the form that was asked for."""
    with asked.opened(SparseEncoder) as encoder:
        for window in windows(texts):
            for vector in asked.encoded(encoder, window, max_active_dims=asked.max_active_dims):
                yield {EMBEDDING_FIELD: in_form(vector, asked.form, encoder.word)}


JSONL_KINDS: dict[Kind, Callable[[Iterable[str], Asked], Iterator[Fields]]] = {
    "multi-vector": _multi_vector,
    "sparse": _sparse,
}
"""Kinds whose vectors are no matrix, by what they add to a record."""
