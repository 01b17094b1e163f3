"""A file of texts as vectors of any kind: which class encodes them, and what becomes of a record. A kind is a function here."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from embedrt.artifact.folder import locate
from embedrt.cli.asked import Asked
from embedrt.cli.sparse import sparse_fields
from embedrt.corpus.lines import Record, as_json
from embedrt.corpus.writing import EMBEDDING_FIELD, require_writable
from embedrt.errors import InputError, KindError
from embedrt.multi_vector_encoder import MultiVectorEncoder
from embedrt.progress import progress

__all__ = ["JSONL_KINDS", "kind_of_model", "require_jsonl", "write_records"]

_SUFFIXES = {"multi-vector": (".jsonl",), "sparse": (".jsonl", ".npz")}

Fields = dict[str, Any]
"""What a record gets beside its own fields."""


def kind_of_model(model: str, *, variant: str | None, revision: str | None) -> str:
    """The model's own kind by its manifest; ``dense`` where there is none.

    Raises:
        KindError: it gives no vectors.
    """
    manifest = locate(model, variant=variant, revision=revision).manifest
    kind = manifest.serving.kind if manifest is not None else "dense"
    if kind == "cross-encoder":
        raise KindError(f"{model} scores pairs of texts and embeds none: type embedrt rerank {model} QUERY DOCUMENTS")
    return kind


def require_jsonl(kind: str, output: Path | None, **dense_only: object) -> None:
    """Refuse options and files that fit dense vectors alone, before any work is done.

    Raises:
        InputError: there is one.
    """
    if given := [name for name, value in dense_only.items() if value]:
        raise InputError(
            f"{', '.join(f'--{name}' for name in given)} is for dense vectors: leave it out for {kind} ones"
        )
    if output is not None:
        if output.suffix.lower() not in _SUFFIXES[kind]:
            raise InputError(
                f"{output} ends in {output.suffix or 'nothing'!r}, expected {' or '.join(_SUFFIXES[kind])}: "
                f"{kind} vectors differ in size"
            )
        require_writable(output)


def write_records(kind: str, file: IO[bytes], records: Sequence[Record], texts: list[str], asked: Asked) -> None:
    """A JSON object a line: the record's fields, and its vectors of ``kind``, written as they come."""
    with progress(len(texts), shown=asked.shown) as advance:
        for record, fields in zip(records, JSONL_KINDS[kind](texts, asked), strict=True):
            file.write(f"{as_json({**record, **fields})}\n".encode())
            advance(1)


def _multi_vector(texts: Iterable[str], asked: Asked) -> Iterator[Fields]:
    """``embedding``: a list of vectors, one a token; documents unless said otherwise."""
    with asked.opened(MultiVectorEncoder) as encoder:
        vectors = encoder.encode_iter(
            texts,
            task=asked.role or "document",
            prompt_name=asked.prompt_name,
            prompt=asked.prompt,
            batch_size=asked.batch_size,
        )
        for one in vectors:
            yield {EMBEDDING_FIELD: one.tolist()}


JSONL_KINDS: dict[str, Callable[[Iterable[str], Asked], Iterator[Fields]]] = {
    "multi-vector": _multi_vector,
    "sparse": sparse_fields,
}
"""Kinds whose vectors are no matrix, by what they add to a record."""
