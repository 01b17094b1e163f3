"""The manifest, ``embedrt.json``: what an artifact is, which files it consists of, and how faithful each variant is.

The schema is these dataclasses: every key is a field, unknown keys are refused, and a file of another format version is
an error rather than a guess. Its serving part also travels inside each .onnx file (``metadata_props["embedrt"]``), so
that a graph and a tokenizer alone can still be served.
"""

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any

from embedrt.artifact.derivation import Derivation
from embedrt.artifact.kinds import KINDS, MultiVector, Reranking, Sparse
from embedrt.errors import ManifestError

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST_FILE",
    "METADATA_KEY",
    "FileRecord",
    "Manifest",
    "Parity",
    "Quantization",
    "Serving",
    "Source",
    "Variant",
    "serving_from_json",
    "serving_to_json",
]

FORMAT_VERSION = 1
MANIFEST_FILE = "embedrt.json"
METADATA_KEY = "embedrt"
_Schema = typing.TypeVar("_Schema")
SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What a runtime must know to turn texts into vectors with the graph."""

    kind: str = "dense"
    dimension: int
    """Width of a vector; of a sparse one, terms of the vocabulary; of a cross-encoder, scores a pair."""
    pooling: tuple[str, ...] = ()
    """Pooling modes in the order of concatenation; information only, the graph has done it."""
    normalize: bool = False
    """Whether the graph's vectors have length 1."""
    similarity: str = "cosine"
    max_seq_length: int | None = None
    """Tokens, special ones included; longer texts are cut. None: no limit."""
    pad_token_id: int = 0
    padding_side: str = "right"
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    include_prompt: bool = True
    """False: the prompt's tokens are left out of pooling, through the graph's input ``pooling_mask``."""
    truncate_dims: tuple[int, ...] = ()
    """Matryoshka widths that the checkpoint was trained for; empty where unknown."""
    reranking: Reranking | None = None
    """Of a cross-encoder."""
    sparse: Sparse | None = None
    """Where the graph gives sparse vectors."""
    multi_vector: MultiVector | None = None
    """Where the graph gives a vector a token, to be compared by late interaction."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """:attr:`kind`, and the further ones that the graph gives in the same run."""
        further = {"sparse": self.sparse is not None, "multi-vector": self.multi_vector is not None}
        return (self.kind, *(kind for kind, given in further.items() if given and kind != self.kind))

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, KINDS)
        _one_of("similarity", self.similarity, SIMILARITIES)
        _one_of("padding_side", self.padding_side, ("left", "right"))
        if self.dimension < 1:
            raise ManifestError(f"dimension is {self.dimension}, expected at least 1")
        if self.default_prompt_name is not None and self.default_prompt_name not in self.prompts:
            raise ManifestError(
                f"default_prompt_name is {self.default_prompt_name!r}, which is none of the prompts {sorted(self.prompts)}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far a variant's vectors are from those of the PyTorch original, over fixed texts."""

    reference: str
    """The original and the library versions that computed it."""
    runtime: str
    """What ran the graph."""
    texts: int
    batch_sizes: tuple[int, ...]
    max_abs_difference: float
    """Largest |Δ| of any component; in a float32 report divided by the original's length, where that is above 1."""
    cosine_mean: float
    cosine_p01: float
    cosine_min: float
    worst_texts: tuple[str, ...] = ()
    """The texts with the smallest cosines, the smallest first."""
    sts_change: dict[str, float] = field(default_factory=dict)
    """Spearman × 100 of the variant minus that of the float32 graph, by set, and their mean under ``mean``."""
    measures: dict[str, float] = field(default_factory=dict)
    """What else tells how faithful this kind of model is, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """What was done to the float32 graph."""

    calibration_texts: int
    smoothing: float
    """SmoothQuant's α."""
    percentile: float
    """How much of the calibration activations a static scale covers."""
    weight_bits: int
    """8, or 7 where ``--processor avx2`` asked for it."""
    products: dict[str, int]
    """How many products read activations with a ``static`` scale, a scale a ``row``, or stayed in ``float``."""
    kept_float: tuple[str, ...]
    """The products whose error stood out."""
    tables: int
    """Embedding tables in int8."""
    worst_layer_error: float
    """Largest relative error of any product on the calibration texts."""
    gelu_as_silu: int = 0
    """GELUs that are computed as SiLU, with refitted weights behind them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One graph of the artifact."""

    file: str
    precision: str
    opset: int
    attention: str
    """``operator`` where attention is the ONNX ``Attention`` operator, ``eager`` where it was traced as matrix products,
    ``contrib`` where a grafted graph has one of ONNX Runtime's own operators for it, ``none`` where words are looked up."""
    parity: Parity
    quantization: Quantization | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """What is to be found at a path of the artifact."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the artifact came from."""

    model: str
    revision: str | None = None
    route: str | None = None
    """Of the checkpoint's Router, where it has one: ``query`` and ``document`` may be different models."""
    libraries: dict[str, str] = field(default_factory=dict)
    """Package versions at export."""
    derivation: Derivation | None = None
    """What was changed of it on purpose; None: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The whole of ``embedrt.json``."""

    format_version: int = FORMAT_VERSION
    serving: Serving
    source: Source
    default_variant: str
    variants: dict[str, Variant]
    files: dict[str, FileRecord]
    """Every file of the artifact but the manifest itself, by its path with forward slashes."""

    def __post_init__(self) -> None:
        if self.default_variant not in self.variants:
            raise ManifestError(
                f"default_variant is {self.default_variant!r}, which is none of the variants {sorted(self.variants)}"
            )
        for name, variant in self.variants.items():
            if variant.file not in self.files:
                raise ManifestError(f"variant {name!r} names the file {variant.file!r}, which `files` does not list")
        sparse = self.serving.sparse
        if sparse is not None and sparse.query_weights is not None and sparse.query_weights not in self.files:
            raise ManifestError(
                f"serving.sparse.query_weights names the file {sparse.query_weights!r}, which `files` does not list"
            )
        for path in self.files:
            if path.startswith("/") or ".." in path.split("/"):
                raise ManifestError(f"`files` names {path!r}, which lies outside of the artifact")

    def to_json(self) -> str:
        """The manifest as it is written to disk."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Manifest":
        """Parse and validate.

        Raises:
            ManifestError: not JSON, of another format version, a key missing or unknown, or a value of the wrong type.
        """
        content = _parse_object(text)
        version = content.get("format_version")
        if version != FORMAT_VERSION:
            raise ManifestError(
                f"{MANIFEST_FILE} has format_version {version!r}, this embedrt reads {FORMAT_VERSION}: "
                "install the embedrt that wrote it, or export the checkpoint again"
            )
        return _build_dataclass(cls, content, MANIFEST_FILE)


def serving_to_json(serving: Serving) -> str:
    """The serving part as it is written into an .onnx file's metadata."""
    return json.dumps({"format_version": FORMAT_VERSION, "serving": dataclasses.asdict(serving)}, ensure_ascii=False)


def serving_from_json(text: str) -> Serving:
    """Parse what :func:`serving_to_json` wrote."""
    content = _parse_object(text)
    if content.get("format_version") != FORMAT_VERSION:
        raise ManifestError(
            f"the graph's metadata has format_version {content.get('format_version')!r}, this embedrt reads {FORMAT_VERSION}"
        )
    return _build_dataclass(Serving, content.get("serving"), "the graph's metadata")


def _parse_object(text: str | bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:  # JSONDecodeError, or UnicodeDecodeError where a character was cut
        raise ManifestError(f"{MANIFEST_FILE} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ManifestError(f"{MANIFEST_FILE} holds a {type(content).__name__}, expected an object")
    return content


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ManifestError(f"{name} is {value!r}, expected one of {', '.join(allowed)}")


def _build(schema: Any, value: object, where: str) -> Any:
    """``value`` as an instance of ``schema``: a dataclass, a built-in type, or a generic of these."""
    if dataclasses.is_dataclass(schema):
        return _build_dataclass(typing.cast("type[Any]", schema), value, where)
    origin, arguments = typing.get_origin(schema), typing.get_args(schema)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _build(arguments[0], value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_build(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: _build(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if schema is float and type(value) is int:
        return float(value)
    if origin is None and type(value) is schema:  # `type`, since True is an int to isinstance
        return value
    expected = getattr(schema, "__name__", str(schema))
    raise ManifestError(f"{where} is {value!r}, expected {'a list' if origin is tuple else expected}")


def _build_dataclass(schema: type[_Schema], value: object, where: str) -> _Schema:
    if not isinstance(value, dict):
        raise ManifestError(f"{where} is {value!r}, expected an object")
    hints = typing.get_type_hints(schema)
    if unknown := sorted(set(value) - set(hints)):
        raise ManifestError(
            f"{where} has the unknown keys {', '.join(unknown)}: this embedrt does not know what they ask for"
        )
    required = {
        item.name
        for item in dataclasses.fields(typing.cast("Any", schema))
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    }
    if missing := sorted(required - set(value)):
        raise ManifestError(f"{where} lacks the keys {', '.join(missing)}")
    return schema(**{key: _build(hints[key], item, f"{where}.{key}") for key, item in value.items()})
