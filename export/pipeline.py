"""The whole story of an export: source → module → trace → rewrite → verify → pack."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir
from embedrt_export.changes import Changes, changed, changed_again
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.kinds import KINDS
from embedrt_export.kinds.kind import Candidate, Kind
from embedrt_export.maxsim import append_maxsim, require_same_ranking, scoring_in_graph
from embedrt_export.modules.graph_module import GraphModule
from embedrt_export.packing.card import model_card
from embedrt_export.packing.writing import file_records, staging, write_graph, write_manifest
from embedrt_export.parity.comparison import Comparison
from embedrt_export.parity.suspect import first_differing_layer
from embedrt_export.quantization import PRECISIONS, Precision, QuantizeOptions, quantize
from embedrt_export.quantization.judges import judge_of
from embedrt_export.rewrite import operators, rewrite
from embedrt_export.source.loading import load_checkpoint
from embedrt_export.source.soundness import tokens_without_vectors
from embedrt_export.stages import Stages
from embedrt_export.tracing.attention import AttentionForm
from embedrt_export.tracing.trace import OPSET, trace

from embedrt.artifact.folder import Artifact, check_files, locate, tokenizer_in
from embedrt.artifact.manifest import Manifest, Parity, Serving, Variant
from embedrt.errors import CheckpointError, GraphError, InputError, ManifestError, ParityError

__all__ = ["export", "verify"]

_FP32_GRAPH = "onnx/model.onnx"
_FORMS: tuple[AttentionForm, ...] = ("operator", "eager")
_NO_ATTENTION = "none"


def export(
    model: str,
    out: str | Path,
    *,
    revision: str | None = None,
    kind: str | None = None,
    pooling: Sequence[str] | None = None,
    route: str | None = None,
    token_embeddings: bool = False,
    maxsim: bool = False,
    changes: Changes | None = None,
    precisions: Sequence[Precision] = (),
    quantize_options: QuantizeOptions | None = None,
    trust_remote_code: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
) -> Manifest:
    """Export a checkpoint to a verified artifact folder.

    Args:
        model: local folder or Hub id of a sentence-transformers checkpoint, or of a transformers one with ``pooling``.
        out: the folder to write; it appears whole or not at all.
        revision: branch, tag or commit of a Hub repository.
        kind: what to export it as, one of :data:`~embedrt_export.kinds.KINDS`; None: what its files say.
        pooling: modes for a plain transformers checkpoint.
        route: which one of a Router's, for a checkpoint that has one.
        token_embeddings: let the graph give the token vectors too.
        maxsim: let the graph of a multi-vector model compare documents with a query by itself.
        changes: what to change of the checkpoint before it is traced.
        precisions: variants beside the float32 one.
        quantize_options: how these are made.
        trust_remote_code: run Python code that the checkpoint brings along.
        overwrite: replace ``out`` if it is an artifact.
        quiet: print no progress on stderr.

    Raises:
        CheckpointError: the checkpoint cannot be loaded or put into one graph.
        ParityError: no graph agrees with the checkpoint; nothing was written.
        FidelityError: a quantized variant is below its gate; nothing was written.
        InputError: ``out`` is taken, or a precision is unknown.
    """
    if unknown := [precision for precision in precisions if precision not in PRECISIONS]:
        raise InputError(f"precision is {', '.join(unknown)}, expected some of fp32, {', '.join(PRECISIONS)}")
    if kind is not None and kind not in KINDS:
        raise InputError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
    stages, wanted = Stages(quiet=quiet), changes or Changes()
    with staging(Path(out), overwrite=overwrite) as folder:
        with stages.stage("load") as facts:
            checkpoint = load_checkpoint(
                model,
                revision=revision,
                kind=kind,
                pooling=pooling,
                route=route,
                max_seq_length=wanted.max_seq_length,
                trust_remote_code=trust_remote_code,
            )
            facts.extend(_facts(checkpoint, KINDS[checkpoint.kind].serving(checkpoint)))
        if (warning := tokens_without_vectors(checkpoint)) is not None:
            stages.note(warning)
        checkpoint = changed(checkpoint, wanted, stages, folder)
        exported = KINDS[checkpoint.kind]
        module, serving = exported.build(checkpoint, token_embeddings), exported.serving(checkpoint)
        serving = scoring_in_graph(serving) if maxsim else serving
        with stages.stage("reference") as facts:
            reference = exported.original(checkpoint)
            facts.append(f"{len(reference)} inputs in PyTorch")
        exported.side_files(checkpoint, folder)
        exported.files(checkpoint, folder)
        faithful = _first_faithful_graph(_Job(exported, checkpoint, module, serving, reference, folder, stages))
        with stages.stage("pack"):
            manifest = _finish(folder, checkpoint, serving, faithful)
        if maxsim:
            require_same_ranking(folder)
        for precision in dict.fromkeys(precisions):
            stages.note(f"{precision}:")
            manifest = quantize(folder, precision, options=quantize_options, quiet=quiet)
    return manifest


def verify(
    artifact: str | Path,
    *,
    against: str,
    variant: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    quiet: bool = False,
) -> tuple[Manifest, Parity]:
    """Repeat the comparison of an artifact with the checkpoint that it came from.

    Args:
        artifact: folder that :func:`export` wrote.
        against: the checkpoint, a local folder or a Hub id.
        variant: of the artifact; None: the manifest's default.
        revision: branch, tag or commit of the Hub repository ``against``.
        trust_remote_code: run Python code that the checkpoint brings along.
        quiet: no progress on stderr.

    Raises:
        IntegrityError: a file is not the one that the manifest names.
        ParityError: the float32 graph differs by more than the tolerance.
        FidelityError: a quantized graph's mean cosine is below the gate.
    """
    stages = Stages(quiet=quiet)
    found: Artifact = locate(artifact, variant=variant)
    if found.manifest is None:
        raise ManifestError(f"{artifact} has no embedrt.json: only artifacts that embedrt exported can be verified")
    with stages.stage("hashes") as facts:
        check_files(found)
        facts.append(f"{len(found.manifest.files)} files named")
    with stages.stage("load") as facts:
        serving, made = found.manifest.serving, found.manifest.source.derivation
        checkpoint = load_checkpoint(
            against,
            kind="hybrid" if len(serving.kinds) > 1 else serving.kind,
            route=found.manifest.source.route,
            served=_before_changes(found.manifest),
            max_seq_length=None if made is None else made.max_seq_length,
            revision=revision,
            trust_remote_code=trust_remote_code,
        )
        checkpoint = changed_again(checkpoint, found, quiet=quiet)
        facts.append(against)
    with stages.stage("compare") as facts:
        kind = KINDS[checkpoint.kind]
        candidate = Candidate(graph=found.graph, tokenizer=found.tokenizer, serving=serving)
        comparison = kind.compare(candidate, checkpoint, kind.original(checkpoint))
        facts.append(f"max |Δ| {comparison.parity.max_abs_difference:.1e}")
    if found.manifest.variants[found.variant or ""].precision == "fp32":
        comparison.require()
    else:
        judge = judge_of(serving)
        judge.require(comparison.parity, judge.gate, [])
    return found.manifest, comparison.parity


@dataclass(frozen=True, slots=True)
class _Job:
    """What stays the same while graphs are tried."""

    kind: Kind
    checkpoint: Checkpoint
    module: GraphModule | onnx_ir.Model
    serving: Serving
    reference: Any
    folder: Path
    stages: Stages


def _first_faithful_graph(job: _Job) -> Variant:
    """Attention as one operator where that is exact for this architecture, else as traced matrix products."""
    if isinstance(job.module, onnx_ir.Model):
        return _written(job, job.module, _NO_ATTENTION)
    for form in _FORMS if job.module.transformer is not None else _FORMS[-1:]:
        try:
            return _graph(job, job.module, form)
        except (CheckpointError, GraphError, ParityError) as problem:
            if form == _FORMS[-1]:
                raise
            job.stages.note(f"attention cannot be one operator here, falling back to a traced one: {problem}")
    raise AssertionError("unreachable")


def _graph(job: _Job, module: GraphModule, form: AttentionForm) -> Variant:
    """Trace, rewrite, write and verify one graph."""
    with job.stages.stage("trace") as facts:
        model = trace(module, form)
        facts.append(f"attention as {form}")
    with job.stages.stage("rewrite") as facts:
        facts += [f"{name} {count}" for name, count in rewrite(model).items()]
        facts.append(f"{operators(model)['Attention']} Attention operators")
    noted = model.clone()
    if job.serving.multi_vector is not None and job.serving.multi_vector.scores_in_graph:
        append_maxsim(model, dimension=job.serving.multi_vector.dimension)
    told = form if module.transformer is not None else _NO_ATTENTION
    return _written(job, model, told, lambda comparison: _suspicion(comparison, module, noted, job.folder))


def _written(
    job: _Job, model: onnx_ir.Model, form: str, suspicion: Callable[[Comparison], str] = lambda _comparison: ""
) -> Variant:
    """Write and verify one graph; ``suspicion`` says where a difference comes from."""
    path = job.folder / _FP32_GRAPH
    write_graph(model, path, job.serving)
    with job.stages.stage("verify") as facts:
        candidate = Candidate(graph=path, tokenizer=tokenizer_in(job.folder), serving=job.serving)
        comparison = job.kind.compare(candidate, job.checkpoint, job.reference)
        facts.append(f"max |Δ| {comparison.parity.max_abs_difference:.1e}")
        comparison.require(suspicion=suspicion(comparison))
    return Variant(file=_FP32_GRAPH, precision="fp32", opset=OPSET, attention=form, parity=comparison.parity)


def _facts(checkpoint: Checkpoint, serving: Serving) -> list[str]:
    pooling = [f"pooling {'+'.join(serving.pooling)}"] if serving.pooling else []
    what = [] if serving.kind == "dense" else [serving.kind]
    transformer = checkpoint.transformer
    architecture = "no transformer" if transformer is None else transformer.config.model_type
    return [*what, architecture, *pooling, f"{serving.dimension} wide"]


def _suspicion(comparison: Comparison, module: GraphModule, noted: onnx_ir.Model, folder: Path) -> str:
    try:
        comparison.require()
    except ParityError:
        return first_differing_layer(module, noted, folder)
    return ""


def _finish(folder: Path, checkpoint: Checkpoint, serving: Serving, fp32: Variant) -> Manifest:
    variants = {"fp32": fp32}
    (folder / "README.md").write_text(model_card(checkpoint.source, serving, variants), encoding="utf-8")
    manifest = Manifest(
        serving=serving,
        source=checkpoint.source,
        default_variant="fp32",
        variants=variants,
        files=file_records(folder),
    )
    write_manifest(manifest, folder)
    return manifest


def _before_changes(manifest: Manifest) -> Serving:
    """What the manifest says of its source: whitened vectors are normalized by the whitening."""
    made = manifest.source.derivation
    whitened = made is not None and made.whitening is not None
    return dataclasses.replace(manifest.serving, normalize=False) if whitened else manifest.serving
