"""The whole story of a graft: read → reference → finish → verify → pack. Nothing is written that does not agree."""

import dataclasses
import importlib.metadata
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from embedrt_export.graft.arithmetic import module_vectors
from embedrt_export.graft.build import Finished, finish
from embedrt_export.graft.check import Check, Run
from embedrt_export.graft.original import OriginalGraph
from embedrt_export.graft.own_vectors import have_unit_length, left_to_do
from embedrt_export.graft.padding import padding_side
from embedrt_export.graft.precision import FLOAT32, attention_of
from embedrt_export.graft.side_files import write_side_files
from embedrt_export.graft.task import GraftOptions, Task, read_task
from embedrt_export.graft.widths import vector_width
from embedrt_export.packing.card import model_card
from embedrt_export.packing.writing import file_records, staging, write_graph, write_manifest
from embedrt_export.parity.comparison import Comparison
from embedrt_export.stages import Stages

from embedrt.artifact.folder import TOKENIZER_FILE
from embedrt.artifact.manifest import Manifest, Serving, Source, Variant
from embedrt.errors import CheckpointError, ParityError
from embedrt.inference.session import POOLING_MASK, SENTENCE_EMBEDDING, GraphSession
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["GraftOptions", "graft"]

_LIBRARIES = ("onnx", "onnx-ir", "onnxruntime", "tokenizers", "safetensors", "numpy")
_ONE_TEXT = "How do I reset my password?"

Vectors = npt.NDArray[np.float32]


def graft(
    folder: str | Path,
    out: str | Path,
    *,
    options: GraftOptions | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> Manifest:
    """Finish a transformer-only ONNX graph with the modules that its folder names, and pack an artifact. No PyTorch.

    Args:
        folder: modules.json, the modules' folders, tokenizer.json, and a graph in onnx/ or beside them.
        out: the folder to write; it appears whole or not at all.
        options: which graph, and how to pool where the folder does not say.
        overwrite: replace ``out`` if it is an artifact.
        quiet: print no progress on stderr.

    Raises:
        CheckpointError: the folder cannot be finished; the message names the file and the key.
        ParityError: what was appended does not agree with the same modules in numpy; nothing was written.
        InputError: ``out`` is taken, or the options do not fit the folder.
    """
    stages = Stages(quiet=quiet)
    with staging(Path(out), overwrite=overwrite) as place:
        with stages.stage("read") as facts:
            task = read_task(Path(folder), options or GraftOptions())
            facts += [task.graph.path.name, task.graph.precision, f"opset {task.opset}"]
        write_side_files(task.files, task.tokenizer, task.tokenization, place)
        with stages.stage("reference") as facts:
            job = _prepare(task, place, stages)
            facts.append(f"{job.serving.dimension} wide")
        variant = _first_faithful_graph(job)
        with stages.stage("pack"):
            manifest = _pack(job, variant)
    return manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What stays the same while graphs are tried."""

    task: Task
    check: Check
    serving: Serving
    alone: Vectors | None
    """What a float32 graph must give for the parity texts, and any is to that gives vectors itself: (texts, dim)."""
    original: OriginalGraph
    place: Path
    stages: Stages


def _prepare(task: Task, place: Path, stages: Stages) -> _Job:
    """Run the graph as it came: how wide its vectors are, and what is to come of them."""
    tokenizer = TextTokenizer(place / TOKENIZER_FILE, max_seq_length=task.tokenization.max_seq_length)
    said_by = task.tokenization.length_said_by
    original = OriginalGraph(task.graph.path, task.tokens or SENTENCE_EMBEDDING, length_said_by=said_by)
    ids = tokenizer.encode([_ONE_TEXT]).row(0)[None, :]
    width = _width(task, original.run(ids, np.ones_like(ids)))
    chain = task.chain if task.tokens is not None else None
    check = Check(tokenizer=tokenizer, chain=chain, graph=task.graph.path.name)
    alone = check.alone(original.run) if task.graph.precision == FLOAT32 or chain is None else None
    if alone is not None and chain is None and task.chain is not None:
        check = dataclasses.replace(check, left=left_to_do(task.chain, alone, str(task.graph.path)))
        alone = module_vectors(check.left, alone)
    side = padding_side(original.run, tokenizer, task.tokenization.padding_side, pad_token_id=task.pad_token_id)
    return _Job(
        task=task,
        check=check,
        serving=_serving(task, width if alone is None else alone.shape[1], side, alone),
        alone=alone,
        original=original,
        place=place,
        stages=stages,
    )


def _width(task: Task, result: Vectors) -> int:
    """Of the finished vectors, by what the graph gives for one text."""
    graph, axes = str(task.graph.path), 2 if task.tokens is None else 3
    if result.ndim != axes:
        raise CheckpointError(
            f"{graph} gives {task.tokens or SENTENCE_EMBEDDING} of shape {result.shape} for one text, expected {axes} axes: "
            "is it the graph of another task? Choose another with --graph"
        )
    width = int(result.shape[-1])
    return width if task.chain is None or task.tokens is None else vector_width(task.chain, width, graph)


def _serving(task: Task, dimension: int, side: str, alone: Vectors | None) -> Serving:
    settings, chain = task.settings, task.chain
    pooled = chain if task.tokens is not None else None
    return Serving(
        dimension=dimension,
        pooling=() if pooled is None else pooled.pooling,
        normalize=alone is not None and have_unit_length(alone) if pooled is None else pooled.normalize,
        similarity=settings.similarity,
        max_seq_length=task.tokenization.max_seq_length,
        pad_token_id=task.pad_token_id,
        padding_side=side,
        prompts=settings.prompts,
        default_prompt_name=settings.default_prompt_name,
        include_prompt=chain is None or chain.include_prompt,
    )


def _first_faithful_graph(job: _Job) -> Variant:
    """The graph with its own finished vectors, where it has them and they are the modules'; else with the modules appended."""
    task = job.task
    if not task.gives_vectors:
        return _graph(job, append=True)
    if not job.serving.include_prompt and all(value.name != POOLING_MASK for value in task.graph.model.graph.inputs):
        problem = (
            f"1_Pooling/config.json has include_prompt false, and {task.graph.path.name} has no input {POOLING_MASK}"
        )
        if task.tokens is None:
            raise CheckpointError(
                f"{problem}, nor token vectors to graft on. With PyTorch, type: embedrt export MODEL OUT"
            )
        job.stages.note(f"its own {SENTENCE_EMBEDDING} is not used: {problem}")
        return _graph(job, append=True)
    added = " and ".join(type(module).__name__ for module in job.check.left)
    needed = f"grafted are {added} alone" if added else "nothing needs to be grafted"
    job.stages.note(f"{task.graph.path.name} gives {SENTENCE_EMBEDDING} already: {needed}")
    try:
        return _graph(job, append=False)
    except ParityError as problem:
        if task.tokens is None:
            raise
        job.stages.note(f"it is not what the modules make of its token vectors, so they are grafted on: {problem}")
        return _graph(job, append=True)


def _graph(job: _Job, *, append: bool) -> Variant:
    """Finish, write and verify one graph."""
    task, precision = job.task, job.task.graph.precision
    file = "onnx/model.onnx" if precision == FLOAT32 else f"onnx/model_{precision.replace('-', '_')}.onnx"
    path = job.place / file
    with job.stages.stage("finish") as facts:
        finished = finish(task, append=append, left=job.check.left, dimension=job.serving.dimension)
        facts.append(f"{len(finished.model.graph) - len(task.graph.model.graph):+d} nodes")
        write_graph(finished.model, path, job.serving)
    with job.stages.stage("verify") as facts:
        comparison = _compare(job, finished, GraphSession(path))
        facts.append(f"max |Δ| {comparison.parity.max_abs_difference:.1e}")
        comparison.require(original=f"its modules on the token vectors of {task.graph.path.name}")
    return Variant(
        file=file,
        precision=precision,
        opset=task.opset,
        attention=attention_of(task.graph.model),
        parity=comparison.parity,
    )


def _compare(job: _Job, finished: Finished, session: GraphSession) -> Comparison:
    if job.task.graph.precision == FLOAT32 and job.alone is not None:
        return job.check.compare_alone(session, job.serving, job.alone)
    if finished.tokens is None:
        return job.check.compare_together(session, job.serving, job.original.run)
    with _token_vectors(finished, job) as run:
        return job.check.compare_together(session, job.serving, run)


@contextmanager
def _token_vectors(finished: Finished, job: _Job) -> Iterator[Run]:
    """Runs a copy of the finished graph for its token vectors: the same arithmetic, but for one output more."""
    assert finished.tokens is not None  # noqa: S101  the caller has looked
    name, path = str(finished.tokens.name), job.place / "tokens" / "model.onnx"
    model = finished.model.clone()
    model.graph.outputs.append(next(value for node in model.graph for value in node.outputs if value.name == name))
    write_graph(model, path, job.serving)
    session = GraphSession(path)
    try:
        yield lambda ids, mask: session.run(ids, mask, outputs=(name,))[0]
    finally:
        shutil.rmtree(path.parent)


def _pack(job: _Job, variant: Variant) -> Manifest:
    source = Source(
        model=job.task.name,
        revision=job.task.revision,
        libraries={name: importlib.metadata.version(name) for name in _LIBRARIES},
        derivation=job.task.derivation,
    )
    variants = {variant.precision: variant}
    (job.place / "README.md").write_text(model_card(source, job.serving, variants), encoding="utf-8")
    manifest = Manifest(
        serving=job.serving,
        source=source,
        default_variant=variant.precision,
        variants=variants,
        files=file_records(job.place),
    )
    write_manifest(manifest, job.place)
    return manifest
