"""The systems under measurement: what each one is, where it runs, and how right it has to be.

Nothing is dropped: an engine that cannot run here keeps its place, with the reason.
"""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from embedrt_bench.engines.peers import OWN, python_of, why_missing
from embedrt_bench.engines.prepared import Prepared, Source
from embedrt_bench.engines.process import EngineError, EngineProcess
from embedrt_bench.machine import instructions

from embedrt.artifact.manifest import MANIFEST_FILE, Manifest
from embedrt.errors import InputError

__all__ = ["EXACT", "REFERENCE", "EngineSpec", "catalogue", "open_engine", "specification", "why_unavailable"]

REFERENCE = "sentence-transformers float32"
"""The engine that vectors are compared with."""
EXACT = 0.9999
_LOSSY = 0.8
"""Rounded to 8 bits by any of the schemes here, the worst text keeps more, ``quantize_dynamic`` on processors without VNNI
included, where its sums saturate; the vector of another text does not."""

_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")

Peak = Literal["fp32", "int8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """One engine of the catalogue."""

    name: str
    loader: str
    """Key of ``loaders.LOADERS``."""
    options: Callable[[Source, Prepared], dict[str, Any]]
    """The loader's arguments; makes the files that they name if they are not there."""
    files: Callable[[Source, Prepared], list[Path]]
    """What has to lie on a disk for it."""
    distribution: str
    """What its users type after ``pip install``."""
    module: str
    """What they import."""
    environment: str = OWN
    smallest_cosine: float | None = EXACT
    """To the reference, of every text, before a time counts; None: any vectors will do."""
    peak: Peak | None = "fp32"
    """Which matrix peak its share is taken of; None: its arithmetic has none here."""
    variant: str | None = None
    """The artifact's variant that it runs, if it is ours."""
    instructions: tuple[str, ...] = ()
    """Of which the processor must have one: nobody runs it where its arithmetic is emulated."""


def _ours(variant: str, *, exact: bool) -> EngineSpec:
    def files(source: Source, _: Prepared) -> list[Path]:
        manifest = Manifest.from_json((source.artifact / MANIFEST_FILE).read_bytes())
        return [source.artifact / name for name in (manifest.variants[variant].file, "tokenizer.json", MANIFEST_FILE)]

    return EngineSpec(
        name=f"embedrt {variant}", loader="embedrt", files=files, distribution="embedrt[cpu]", module="embedrt",
        options=lambda source, _: {"artifact": str(source.artifact), "variant": variant}, variant=variant,
        smallest_cosine=EXACT if exact else _LOSSY, peak="fp32" if exact else "int8",
    )  # fmt: skip


def _sentence_transformers(dtype: str, *, smallest_cosine: float, peak: Peak | None) -> EngineSpec:
    return EngineSpec(
        name=f"sentence-transformers {dtype}", loader="sentence-transformers", distribution="sentence-transformers",
        module="sentence_transformers", smallest_cosine=smallest_cosine, peak=peak,
        instructions=_BFLOAT16 if dtype == "bfloat16" else (),
        options=lambda source, _: {"checkpoint": str(source.checkpoint), "dtype": dtype},
        files=lambda source, _: _checkpoint_files(source.checkpoint),
    )  # fmt: skip


def _checkpoint_files(folder: Path) -> list[Path]:
    """Weights of all its modules, in the newer format where it has both; tokenizer and configuration, as far as it has them."""
    weights = sorted(folder.rglob("model*.safetensors")) or sorted(folder.rglob("pytorch_model*.bin"))
    if not weights:
        raise InputError(
            f"{folder} has neither model.safetensors nor pytorch_model.bin: pass a checkpoint with weights"
        )
    others = (weights[0].with_name(name) for name in ("tokenizer.json", "config.json"))
    return [*weights, *(path for path in others if path.is_file())]


def _openvino(name: str, file: str, *, exact: bool) -> EngineSpec:
    def files(_: Source, prepared: Prepared) -> list[Path]:
        weights = prepared.folder("openvino") / "openvino" / file
        return [weights, weights.with_suffix(".bin"), prepared.folder("openvino") / "tokenizer.json"]

    return EngineSpec(
        name=name, loader="openvino", environment="openvino", files=files, module="sentence_transformers",
        options=lambda _, prepared: {"folder": str(prepared.folder("openvino")), "file": file},
        distribution="optimum-intel[openvino,nncf] sentence-transformers",
        smallest_cosine=EXACT if exact else _LOSSY, peak="fp32" if exact else "int8",
    )  # fmt: skip


def _light(name: str, loader: str, folder: str, *, exact: bool = True, environment: str, **more: Any) -> EngineSpec:
    def files(_: Source, prepared: Prepared) -> list[Path]:
        return [prepared.folder(folder) / "model.onnx", prepared.folder(folder) / "tokenizer.json"]

    return EngineSpec(
        name=name, loader=loader, environment=environment, files=files, distribution=loader, module=loader.replace("-", "_"),
        options=lambda _, prepared: {"folder": str(prepared.folder(folder)), **more},
        smallest_cosine=EXACT if exact else _LOSSY, peak="fp32" if exact else "int8",
    )  # fmt: skip


def _fastembed(name: str, folder: str, batch_size: int, *, exact: bool = True) -> EngineSpec:
    return _light(name, "fastembed", folder, exact=exact, environment="fastembed", batch_size=batch_size)


def _static() -> EngineSpec:
    return EngineSpec(
        name="static vectors", loader="static", distribution="tokenizers numpy", module="tokenizers",
        options=lambda _, prepared: {"folder": str(prepared.folder("word-embeddings"))},
        files=lambda _, prepared: [prepared.folder("word-embeddings") / name for name in ("table.npy", "tokenizer.json")],
        smallest_cosine=None, peak=None,
    )  # fmt: skip


_SPECS = (
    _ours("fp32", exact=True),
    _ours("int8", exact=False),
    _ours("int8-static", exact=False),
    _sentence_transformers("float32", smallest_cosine=EXACT, peak="fp32"),
    _sentence_transformers("bfloat16", smallest_cosine=0.98, peak=None),
    _openvino("sentence-transformers OpenVINO", "openvino_model.xml", exact=True),
    _openvino("sentence-transformers OpenVINO int8", "openvino_model_int8.xml", exact=False),
    _fastembed("fastembed fp32", "whole-graph", 256),
    _fastembed("fastembed fp32, batch 32", "whole-graph", 32),
    _fastembed("fastembed dynamic int8", "dynamic-int8", 256, exact=False),
    _fastembed("fastembed dynamic int8, batch 32", "dynamic-int8", 32, exact=False),
    _light("light-embed", "light-embed", "whole-graph", environment="light-embed"),
    _light("onnxruntime, pooling in numpy", "onnxruntime", "transformer", environment=OWN),
    _static(),
)
_BY_NAME = {spec.name: spec for spec in _SPECS}


def catalogue() -> tuple[str, ...]:
    """The names of all engines, ours first."""
    return tuple(_BY_NAME)


def specification(name: str) -> EngineSpec:
    """One engine by name; an InputError names those that there are.

    >>> specification("fastembed fp32").environment
    'fastembed'
    """
    if name not in _BY_NAME:
        raise InputError(f"there is no engine {name!r}; there are: {'; '.join(_BY_NAME)}")
    return _BY_NAME[name]


def why_unavailable(spec: EngineSpec, source: Source) -> str | None:
    """Why this engine cannot run here, and what to type; None where it can."""
    if (reason := why_missing(spec.environment)) is not None:
        return reason
    if spec.environment == OWN and importlib.util.find_spec(spec.module) is None:
        return f"{spec.distribution} is not installed: pip install {spec.distribution}"
    if spec.instructions and not set(spec.instructions) & set(instructions()):
        return f"the processor has none of {', '.join(spec.instructions)}: it would be emulated, slower than float32"
    return _missing_variant(spec.variant, source) if spec.variant else None


def _missing_variant(variant: str, source: Source) -> str | None:
    manifest = Manifest.from_json((source.artifact / MANIFEST_FILE).read_bytes())
    if variant in manifest.variants:
        return None
    return f"the artifact has no variant {variant}: embedrt quantize {source.artifact.name} {variant}"


def open_engine(spec: EngineSpec, source: Source, prepared: Prepared, *, threads: int) -> EngineProcess:
    """The engine's process, started and not yet loaded; its files are made if they are not there.

    EngineError in this engine's name where they cannot be made, or it cannot be started.
    """
    try:
        settings: Mapping[str, Any] = spec.options(source, prepared)
    except Exception as error:  # whatever a foreign exporter raises about a model that it does not know
        raise EngineError(spec.name, f"its files could not be made: {type(error).__name__}: {error}") from error
    python, own = python_of(spec.environment), spec.environment == OWN
    return EngineProcess(spec.name, spec.loader, settings, python=python, threads=threads, own=own)
