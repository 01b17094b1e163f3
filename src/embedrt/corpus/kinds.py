"""Kinds of vectors that texts of a corpus can become: who encodes them, with which options of its own, into which files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

from embedrt.artifact.manifest import Serving
from embedrt.corpus.columns import TokenVectors, Vectors
from embedrt.corpus.parts import Form
from embedrt.corpus.writing import require_pyarrow, require_writable
from embedrt.encoder import SentenceEncoder
from embedrt.errors import InputError
from embedrt.in_role import in_role
from embedrt.multi_vector_encoder import MultiVectorEncoder
from embedrt.opening import require_kind
from embedrt.sparse_encoder import SparseEncoder

__all__ = [
    "KINDS",
    "EncodeOptions",
    "EncodedAs",
    "Encoder",
    "Kind",
    "encoded",
    "kind_of",
    "require_file",
    "require_form",
    "require_own_options",
]

Kind = Literal["dense", "sparse", "multi-vector"]
Role = Literal["query", "document"]
Encoder = SentenceEncoder | SparseEncoder | MultiVectorEncoder


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """The model, and how it encodes; what the classes of :mod:`embedrt` take."""

    model: str
    kind: Kind | None = None
    """Which vectors, where the model gives several; None: the model's own."""
    variant: str | None = None
    revision: str | None = None
    threads: int | None = None
    batch_size: int | None = None
    role: Role | None = None
    prompt_name: str | None = None
    prompt: str | None = None
    precision: Literal["float32", "binary", "ubinary"] = "float32"
    normalize_embeddings: bool | None = None
    truncate_dim: int | None = None
    max_active_dims: int | None = None
    """Terms of a sparse vector at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedAs:
    """What there is to know of a kind."""

    encoder: type[Encoder]
    forms: tuple[Form, ...]
    """Of files that can hold such vectors."""
    part_rows: int
    """Rows of a part where nobody says: some ten or hundred megabytes."""
    options: tuple[str, ...] = ()
    """Arguments of its methods that others do not have."""
    role: Role | None = None
    """As what texts are encoded where nobody says; None: as neither."""
    held: Callable[[Any, Encoder], Vectors] = lambda vectors, _encoder: vectors
    """What the encoder gives, as it is written."""


def _with_dimension(vectors: list[npt.NDArray[Any]], encoder: Encoder) -> TokenVectors:
    return TokenVectors(vectors, encoder.get_embedding_dimension())


KINDS: Mapping[Kind, EncodedAs] = {
    "dense": EncodedAs(
        encoder=SentenceEncoder,
        forms=("npy", "jsonl", "parquet"),
        part_rows=20_000,
        options=("precision", "normalize_embeddings", "truncate_dim"),
    ),
    "sparse": EncodedAs(
        encoder=SparseEncoder,
        forms=("npz", "jsonl", "parquet"),
        part_rows=20_000,
        options=("max_active_dims",),
    ),
    "multi-vector": EncodedAs(
        encoder=MultiVectorEncoder,
        forms=("jsonl", "parquet"),
        part_rows=1_000,
        role="document",
        held=_with_dimension,
    ),
}


def kind_of(serving: Serving, asked: Kind | None, *, where: str) -> Kind:
    """The kind that is ``asked`` for; None: the model's own.

    Raises:
        KindError: the model does not give it, or no vectors at all.
        InputError: there is no such kind.
    """
    if asked is not None and asked not in KINDS:
        raise InputError(f"kind is {asked!r}, expected one of {', '.join(KINDS)}")
    own: Kind = next((kind for kind in KINDS if kind == serving.kind), "dense")
    found = own if asked is None else asked
    require_kind(serving, found, where=where)
    return found


def require_own_options(kind: Kind, options: EncodeOptions) -> None:
    """Refuse options that vectors of this kind do not have.

    Raises:
        InputError: one is set.
    """
    defaults = {field.name: field.default for field in fields(EncodeOptions)}
    for other, described in KINDS.items():
        for name in described.options:
            if name not in KINDS[kind].options and getattr(options, name) != defaults[name]:
                raise InputError(
                    f"{name} is {getattr(options, name)!r}, which is for {other} vectors, and the model gives {kind} ones: "
                    "leave it out"
                )


def require_form(kind: Kind, form: Form) -> None:
    """Refuse files that cannot hold vectors of this kind.

    Raises:
        InputError: ``form`` is none of those that can.
    """
    if form not in KINDS[kind].forms:
        raise InputError(f"form is {form!r}, expected one of {', '.join(KINDS[kind].forms)} for {kind} models")


def require_file(path: Path, kind: Kind) -> None:
    """Say before any work is done that a file cannot be written, or cannot hold vectors of this kind.

    Raises:
        InputError: the name ends in something else, is that of a folder, or its own folder cannot be written to.
        MissingDependencyError: .parquet without pyarrow.
    """
    suffix, expected = path.suffix.lower(), [f".{form}" for form in KINDS[kind].forms]
    if suffix not in expected:
        raise InputError(
            f"{path} ends in {path.suffix or 'nothing'!r}, expected one of {', '.join(expected)} for {kind} models"
        )
    require_writable(path)
    if suffix == ".parquet":
        require_pyarrow()


def encoded(encoder: Encoder, texts: list[str], kind: Kind, options: EncodeOptions) -> Vectors:
    """Vectors of ``texts`` in their order, by an ``encoder`` of this ``kind``."""
    described = KINDS[kind]
    vectors = in_role(encoder, options.role or described.role)(
        texts,
        prompt_name=options.prompt_name,
        prompt=options.prompt,
        batch_size=options.batch_size,
        **{name: getattr(options, name) for name in described.options},
    )
    return described.held(vectors, encoder)
