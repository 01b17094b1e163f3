"""Adding a variant to an artifact: calibrate → choose → rewrite → measure → put in place. No PyTorch."""

import dataclasses
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import onnx_ir
from embedrt_export.graphs.tidy import drop_unused
from embedrt_export.packing.card import model_card
from embedrt_export.packing.writing import file_records, write_graph, write_manifest
from embedrt_export.quantization.calibration import calibration_texts, sample_activations
from embedrt_export.quantization.fp16 import to_float16
from embedrt_export.quantization.judge import Trial
from embedrt_export.quantization.judges import judge_of
from embedrt_export.quantization.linears import find_groups
from embedrt_export.quantization.padding_lengths import attend_by_lengths
from embedrt_export.quantization.plan import Plan
from embedrt_export.quantization.search import search_setting
from embedrt_export.quantization.silu import find_gelus, gelus_as_silu
from embedrt_export.quantization.tables import quantize_tables
from embedrt_export.stages import Stages

from embedrt.artifact.folder import Artifact, check_files, locate
from embedrt.artifact.manifest import MANIFEST_FILE, Manifest, Parity, Quantization, Variant
from embedrt.errors import InputError, ManifestError
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["PRECISIONS", "PaddingForm", "Precision", "Processor", "QuantizeOptions", "quantize"]

Precision = Literal["int8", "int8-static", "fp16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Processor = Literal["any", "avx2"]
PaddingForm = Literal["mask", "lengths"]
_FILES: dict[Precision, str] = {
    "int8": "onnx/model_int8.onnx",
    "int8-static": "onnx/model_int8_static.onnx",
    "fp16": "onnx/model_fp16.onnx",
}
_CARD = "README.md"
_OLDEST_OPSET = 13
"""The first with a scale for each row; graphs that were grafted may be older."""
_WEIGHT_BITS: dict[Processor, int] = {"any": 8, "avx2": 7}


@dataclass(frozen=True, slots=True)
class _Quantized:
    model: onnx_ir.Model
    facts: Quantization | None
    blamed: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeOptions:
    """How a variant is made, and what it must reach."""

    calibration: Path | None = None
    """A file with one text a line; None: the project's own multilingual set."""
    processor: Processor = "any"
    """``avx2``: weights of 7 bits, less faithful, for programs that add other neighbours in 16 bits than ONNX Runtime."""
    gate: float | None = None
    """What the variant must reach: of a dense encoder the mean cosine to the float32 graph; None: its kind's own limit."""
    allow_below_gate: bool = False
    """Write the variant even so."""
    sts: Path | None = None
    """A folder of STS files; the change of the scores goes into the manifest."""
    attention: PaddingForm = "mask"
    """``lengths``: attention reads how many tokens of each text are real, for ONNX Runtime 1.25 and later."""

    def __post_init__(self) -> None:
        if self.attention not in get_args(PaddingForm):
            raise InputError(f"attention is {self.attention!r}, expected one of {', '.join(get_args(PaddingForm))}")
        if self.processor not in _WEIGHT_BITS:
            raise InputError(f"processor is {self.processor!r}, expected one of {', '.join(_WEIGHT_BITS)}")
        if self.gate is not None and not 0 <= self.gate <= 1:
            raise InputError(f"gate is {self.gate}, expected a cosine from 0 to 1")


def quantize(
    artifact: str | Path,
    precision: Precision,
    *,
    options: QuantizeOptions | None = None,
    make_default: bool = False,
    quiet: bool = False,
) -> Manifest:
    """Add a variant to an artifact folder; the folder stays as it was if anything fails.

    Args:
        artifact: a folder that ``embedrt export`` wrote.
        precision: ``int8``, ``int8-static`` or ``fp16``.
        options: calibration texts, processor, and the gate.
        make_default: let this variant be what is loaded where none is named.
        quiet: print no progress on stderr.

    Raises:
        InputError: unusable precision or calibration texts, or a graph with nothing to quantize.
        FidelityError: the variant is below the gate; nothing was written.
    """
    wanted = options or QuantizeOptions()
    found = _checked(artifact, precision)
    stages = Stages(quiet=quiet)
    model = onnx_ir.load(found.graph)
    if wanted.attention == "lengths":
        assert found.manifest is not None  # noqa: S101  _checked saw it
        with stages.stage("attention") as facts:
            count = attend_by_lengths(model, padding_side=found.manifest.serving.padding_side)
            facts.append(f"{count} by lengths")
    if precision == "fp16":
        with stages.stage("float16"):
            quantized = _Quantized(to_float16(model), None, [])
    else:
        quantized = _to_int8(model, found, precision, wanted, stages)
    return _measured_and_placed(found, precision, quantized, stages, wanted, make_default=make_default)


def _checked(artifact: str | Path, precision: str) -> Artifact:
    """The artifact with its float32 graph, whole and on this machine."""
    if precision not in PRECISIONS:
        raise InputError(f"precision is {precision!r}, expected one of {', '.join(PRECISIONS)}")
    if not Path(artifact).is_dir():
        raise InputError(f"there is no artifact folder at {artifact}: pass one that embedrt export wrote")
    if not (Path(artifact) / MANIFEST_FILE).is_file():
        raise ManifestError(f"{artifact} has no {MANIFEST_FILE}: only artifacts that embedrt exported can be quantized")
    found = locate(artifact, variant="fp32")
    check_files(found)
    return found


def _to_int8(
    model: onnx_ir.Model, found: Artifact, precision: str, options: QuantizeOptions, stages: Stages
) -> _Quantized:
    bits = _WEIGHT_BITS[options.processor]
    texts = calibration_texts(options.calibration)
    if (opset := model.opset_imports[""]) < _OLDEST_OPSET:
        raise InputError(
            f"{found.graph} is of opset {opset}, int8 needs {_OLDEST_OPSET}: export the checkpoint instead"
        )
    groups = find_groups(model)
    if not groups:
        return _tables_to_int8(model, found, stages)
    assert found.manifest is not None  # noqa: S101  _checked saw it
    serving = found.manifest.serving
    judge = judge_of(serving)
    with stages.stage("calibrate") as facts:
        tokenizer = TextTokenizer(found.tokenizer, max_seq_length=serving.max_seq_length)
        tokens = judge.tokens(tokenizer, serving, texts)
        silu = 0
        if precision == "int8-static" and (gelus := find_gelus(groups)):
            inputs = sample_activations(
                model, [gelu.source for gelu in gelus], tokens, folder=found.folder, quiet=stages.bars_hidden
            )
            silu = gelus_as_silu(model, gelus, inputs)
            groups = find_groups(model)
            facts.append(f"{silu} of {len(gelus)} GELU as SiLU")
        rows = sample_activations(
            model, [group.source for group in groups], tokens, folder=found.folder, quiet=stages.bars_hidden
        )
        facts.append(f"{len(texts)} texts, {len(next(iter(rows.values())))} tokens")
    plan = Plan(model, rows, static=precision == "int8-static", weight_limit=2 ** (bits - 1) - 1)
    with stages.stage("search") as facts:
        best = search_setting(found, plan, judge, texts, quiet=stages.bars_hidden)
        facts.append(f"α {best.alpha}, {best.percentile:g} % of the activations covered")
    with stages.stage("rewrite") as facts:
        built = plan.build(best, final=True, quiet=stages.bars_hidden)
        facts.append(f"{sum(built.products.values()) - built.products['float']} products, {built.tables} tables")
        if built.kept_float:
            facts.append(f"kept in float: {', '.join(built.kept_float)}")
    described = Quantization(
        calibration_texts=len(texts),
        smoothing=best.alpha,
        percentile=best.percentile,
        weight_bits=bits,
        products=built.products,
        kept_float=tuple(built.kept_float),
        tables=built.tables,
        worst_layer_error=built.worst_error,
        gelu_as_silu=silu,
    )
    return _Quantized(built.model, described, built.blamed)


def _tables_to_int8(model: onnx_ir.Model, found: Artifact, stages: Stages) -> _Quantized:
    """A graph without products of token vectors, such as a mean of word vectors: rows of its tables in int8, nothing to learn."""
    with stages.stage("rewrite") as facts:
        tables = quantize_tables(model)
        facts.append(f"{tables} tables")
    if not tables:
        raise InputError(
            f"nothing to do: {found.graph} has no products of token vectors with weights, nor a large table"
        )
    drop_unused(model)
    nothing = {"static": 0, "row": 0, "float": 0}
    described = Quantization(
        calibration_texts=0, smoothing=0.0, percentile=100.0, weight_bits=8, products=nothing, kept_float=(), tables=tables,
        worst_layer_error=0.0,
    )  # fmt: skip
    return _Quantized(model, described, [])


def _measured_and_placed(
    found: Artifact,
    precision: Precision,
    quantized: _Quantized,
    stages: Stages,
    options: QuantizeOptions,
    *,
    make_default: bool,
) -> Manifest:
    assert found.manifest is not None  # noqa: S101  _checked saw it
    path = _FILES[precision]
    place = Path(tempfile.mkdtemp(prefix=f".{precision}.", suffix=".partial", dir=found.folder))
    try:
        graph = place / Path(path).name  # one folder below tokenizer.json, where a single graph finds it
        write_graph(quantized.model, graph, found.manifest.serving)
        with stages.stage("measure") as facts:
            parity = _fidelity(found, graph, options.sts)
            facts.append(f"cosine mean {parity.cosine_mean:.5f}, min {parity.cosine_min:.5f}")
        if not options.allow_below_gate:
            judge = judge_of(found.manifest.serving)
            judge.require(parity, judge.gate if options.gate is None else options.gate, quantized.blamed)
        fp32 = found.manifest.variants["fp32"]
        variant = Variant(
            file=path,
            precision=precision,
            opset=quantized.model.opset_imports[""],
            attention=fp32.attention,
            parity=parity,
            quantization=quantized.facts,
        )
        return _place(found, precision, variant, graph, make_default)
    finally:
        shutil.rmtree(place)


def _fidelity(found: Artifact, graph: Path, sts: Path | None) -> Parity:
    assert found.manifest is not None  # noqa: S101
    verified = found.manifest.variants["fp32"].parity
    reference = f"the fp32 graph, itself within {verified.max_abs_difference:.1e} of {verified.reference}"
    trial = Trial(folder=found.folder, graph=graph, reference=reference, sts=sts)
    return judge_of(found.manifest.serving).measure(trial)


def _place(found: Artifact, precision: str, variant: Variant, graph: Path, make_default: bool) -> Manifest:
    """Finish everything beside the graph, then move it all into the artifact, the manifest last."""
    assert found.manifest is not None  # noqa: S101
    variants = {**found.manifest.variants, precision: variant}
    staged, folder = graph.parent, Path(variant.file).parent
    graphs = {path.name: (folder / path.name).as_posix() for path in sorted(staged.iterdir())}
    card = model_card(found.manifest.source, found.manifest.serving, variants)
    (staged / _CARD).write_text(card, encoding="utf-8")
    records = {graphs.get(name, name): record for name, record in file_records(staged).items()}
    manifest = dataclasses.replace(
        found.manifest,
        variants=variants,
        default_variant=precision if make_default else found.manifest.default_variant,
        files=dict(sorted({**found.manifest.files, **records}.items())),  # other files keep their hashes
    )
    write_manifest(manifest, staged)
    for name, target in {**graphs, _CARD: _CARD, MANIFEST_FILE: MANIFEST_FILE}.items():
        (staged / name).replace(found.folder / target)
    return manifest
