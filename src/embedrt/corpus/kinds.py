"""Kinds of vectors that texts of a corpus can become: who encodes them, with which options of its own, into which files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

from embedrt.artifact.manifest import Serving
from embedrt.corpus.columns import TokenVectors, Vectors
from embedrt.corpus.parts import Form
from embedrt.corpus.writing import EMBEDDING_FIELD, require_pyarrow, require_writable
from embedrt.encoder import SentenceEncoder
from embedrt.errors import InputError
from embedrt.hybrid_encoder import HybridEncoder
from embedrt.in_role import in_role
from embedrt.multi_vector_encoder import MultiVectorEncoder
from embedrt.opening import require_kind
from embedrt.sparse_encoder import SparseEncoder

__all__ = [
    "KINDS",
    "EncodeOptions",
    "EncodedAs",
    "Kind",
    "described",
    "encoded",
    "kinds_of",
    "part_rows",
    "require_file",
    "require_own_options",
]

Kind = Literal["dense", "sparse", "multi-vector"]
Role = Literal["query", "document"]
Columns = dict[str, Vectors]
"""By the name that each has in a file."""
_ROWS, _ROWS_OF_TOKENS = 20_000, 128_000
"""Of a part; and with a vector a token, times its width: 1000 at ColBERT's 128, 125 at BGE-M3's 1024."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """The model, and how it encodes; what the classes of :mod:`embedrt` take."""

    model: str
    kinds: tuple[Kind, ...] | None = None
    """Which vectors, where the model gives several; None: the model's own. Of more than one, all of one run."""
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
    """What there is to know of a kind, or of several at once."""

    encoder: type[Any]
    """A class of :mod:`embedrt`."""
    forms: tuple[Form, ...]
    """Of files that can hold such vectors."""
    options: tuple[str, ...] = ()
    """Those of :class:`EncodeOptions` that others do not have."""
    role: Role | None = None
    """As what texts are encoded where nobody says; None: as neither."""
    held: Callable[[Any, Any], Vectors] = lambda vectors, _encoder: vectors
    """What the encoder gives, as it is written."""


def _with_dimension(vectors: list[npt.NDArray[Any]], encoder: MultiVectorEncoder) -> TokenVectors:
    return TokenVectors(vectors, encoder.get_embedding_dimension())


KINDS: Mapping[Kind, EncodedAs] = {
    "dense": EncodedAs(
        encoder=SentenceEncoder,
        forms=("npy", "jsonl", "parquet"),
        options=("role", "precision", "normalize_embeddings", "truncate_dim"),
    ),
    "sparse": EncodedAs(
        encoder=SparseEncoder,
        forms=("npz", "jsonl", "parquet"),
        options=("role", "max_active_dims"),
    ),
    "multi-vector": EncodedAs(
        encoder=MultiVectorEncoder,
        forms=("jsonl", "parquet"),
        options=("role",),
        role="document",
        held=_with_dimension,
    ),
}


def described(kinds: Sequence[Kind]) -> EncodedAs:
    """What there is to know of these ``kinds`` together."""
    if len(kinds) == 1:
        return KINDS[kinds[0]]
    return EncodedAs(encoder=HybridEncoder, forms=("jsonl", "parquet"))


def part_rows(kinds: Sequence[Kind], serving: Serving) -> int:
    """Rows of a part where nobody says: some ten megabytes, or a hundred where texts have 200 tokens with a vector each."""
    if "multi-vector" not in kinds:
        return _ROWS
    width = serving.dimension if serving.multi_vector is None else serving.multi_vector.dimension
    return max(1, min(_ROWS, _ROWS_OF_TOKENS // width))


def kinds_of(serving: Serving, asked: Sequence[Kind] | None, *, where: str) -> tuple[Kind, ...]:
    """The kinds that are ``asked`` for, each once; None: the model's own.

    Raises:
        KindError: the model does not give one of them, or no vectors at all.
        InputError: there is no such kind.
    """
    own: Kind = next((kind for kind in KINDS if kind == serving.kind), "dense")
    found = tuple(dict.fromkeys(asked or [own]))
    for kind in found:
        if kind not in KINDS:
            raise InputError(f"a kind is {kind!r}, expected some of {', '.join(KINDS)}")
        require_kind(serving, kind, where=where)
    return found


def require_own_options(kinds: Sequence[Kind], options: EncodeOptions, form: Form) -> None:
    """Refuse options, and files, that vectors of these kinds do not have.

    Raises:
        InputError: there is one.
    """
    they, taken = " and ".join(kinds), described(kinds)
    defaults = {field.name: field.default for field in fields(EncodeOptions)}
    for name in dict.fromkeys(name for one in KINDS.values() for name in one.options):
        if name not in taken.options and getattr(options, name) != defaults[name]:
            raise InputError(f"{name} is {getattr(options, name)!r}, which {they} models do not have: leave it out")
    if form not in taken.forms:
        raise InputError(f"form is {form!r}, expected one of {', '.join(taken.forms)} for {they} models")


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


def encoded(encoder: Any, texts: list[str], kinds: Sequence[Kind], options: EncodeOptions) -> Columns:
    """Vectors of ``texts`` in their order: ``embedding``, or of several kinds each under its name."""
    given = {"prompt_name": options.prompt_name, "prompt": options.prompt, "batch_size": options.batch_size}
    if len(kinds) == 1:
        kind = KINDS[kinds[0]]
        own = {name: getattr(options, name) for name in kind.options if name != "role"}
        return {EMBEDDING_FIELD: kind.held(in_role(encoder, options.role or kind.role)(texts, **given, **own), encoder)}
    found = encoder.encode(texts, **given, **{_field(kind): kind in kinds for kind in KINDS})
    columns = {_field(kind): getattr(found, _field(kind)) for kind in kinds}
    if "multi_vector" in columns:
        columns["multi_vector"] = TokenVectors(columns["multi_vector"], encoder.dimensions["multi-vector"])
    return columns


def _field(kind: Kind) -> str:
    """The kind's name in :class:`embedrt.HybridEncoder`."""
    return kind.replace("-", "_")
