"""A model, opened: found, checked, loaded, laid out on this machine. Every class that encodes begins here."""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from embedrt.arguments import require_positive
from embedrt.artifact.folder import Artifact, locate
from embedrt.artifact.kinds import CLASSES
from embedrt.artifact.loaded_files import FileState, require_unchanged, states_of
from embedrt.artifact.manifest import Serving
from embedrt.errors import KindError, UnavailableError
from embedrt.inference.byte_sums import release_of, require_exact_sums
from embedrt.inference.devices import Device, Providers
from embedrt.inference.layout import Layout, layout_for
from embedrt.inference.runner import Runner
from embedrt.inference.session import SENTENCE_EMBEDDING, TOKEN_EMBEDDINGS, GraphSession, parse_device, runtime_version
from embedrt.loading import load
from embedrt.prompts import with_prompts
from embedrt.text.tokenizer import TextTokenizer

__all__ = ["Opened", "Opening", "open_artifact", "open_model", "require_kind"]

_LENGTHS_FROM, _KNOWS_LENGTHS = 24, (1, 25)
"""Attention has an input for lengths since this opset; ONNX Runtime 1.24 loads such graphs, and attends to padding."""
_OUTPUTS = {"dense": SENTENCE_EMBEDDING, "multi-vector": TOKEN_EMBEDDINGS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What is asked for when a model is opened; the arguments of every encoder class."""

    variant: str | None = None
    device: str | None = "cpu"
    providers: Providers | None = None
    threads: int | None = None
    layout: Layout | None = None
    revision: str | None = None
    prompts: Mapping[str, str] | None = None
    default_prompt_name: str | None = None
    max_seq_length: int | None = None
    truncate_dim: int | None = None

    def __post_init__(self) -> None:
        for name in ("threads", "max_seq_length", "truncate_dim"):
            require_positive(name, getattr(self, name))
        parse_device(self.device)  # one that is none is told before a model is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A model that is ready to run."""

    artifact: Artifact
    serving: Serving
    tokenizer: TextTokenizer
    layout: Layout
    device: Device
    session: GraphSession
    """It shares its threads."""
    files: Mapping[Path, FileState | None] = field(repr=False)
    """The graph's own and those of its weights, as they were when it was loaded."""
    providers: Providers | None = field(default=None, repr=False)
    outputs: tuple[str, ...] | None = None
    """What the graph is left; None: all."""

    def runner(self) -> Runner:
        """The sessions in the layout, for one that gives it back."""
        return Runner(self.session, self.single, serving=self.serving, layout=self.layout, kind=self.device.kind)

    def single(self) -> GraphSession:
        """What workers run: a further session of one thread; on a card, where weights are to lie once, the same again."""
        return self.session if self.device.kind != "cpu" else self.another(threads=1)

    def another(self, *, threads: int | None = None) -> GraphSession:
        """A further session on the same weights; ``threads``: what the layout says, where none are given.

        Raises:
            IntegrityError: other files lie in their place by now.
        """
        require_unchanged(self.files)
        session = _session(
            self.artifact, self.device, self.providers, self.layout, threads=threads, outputs=self.outputs
        )
        require_unchanged(self.files)  # a folder may be swapped while it is read
        return session


def open_model(model: str | os.PathLike[str], opening: Opening, *, kind: str | None) -> Opened:
    """Find and load ``model`` for a class of ``kind``.

    Args:
        model: an artifact's folder, a single .onnx file, or a Hub id.
        opening: variant, device and layout.
        kind: what the model must be, or give among other things, which are then not computed; None: it must give several.

    Raises:
        ArtifactError: there is no such model, or it is damaged, foreign, or of another kind.
        UnavailableError: the device or provider is not on this machine.
    """
    where = Path(model) if isinstance(model, os.PathLike) else model
    artifact = locate(where, variant=opening.variant, revision=opening.revision)
    if artifact.manifest is not None:
        require_kind(artifact.manifest.serving, kind, where=str(model))
    opened = open_artifact(artifact, opening, outputs=_outputs(artifact, kind))
    require_kind(opened.serving, kind, where=str(model))
    return opened


def open_artifact(artifact: Artifact, opening: Opening, *, outputs: tuple[str, ...] | None = None) -> Opened:
    """Load what was found, of any kind; ``outputs``: what the graph is left, None: all.

    Raises:
        ArtifactError: it is damaged or foreign.
        InputError: the default prompt is none of its prompts, or it does not read so many tokens.
        UnavailableError: the device or provider is not on this machine, or ONNX Runtime is too old for the variant.
    """
    device = parse_device(opening.device)
    _require_runtime(artifact)
    _warn_of_slow_variant(artifact, device)
    layout = opening.layout or layout_for(
        artifact.graph_sha256, runtime_version(), threads=opening.threads, device=device
    )
    graph = states_of([artifact.graph])  # before it is read: what is put in its place while it is loaded is another
    loaded = load(
        artifact,
        lambda: _session(artifact, device, opening.providers, layout, threads=None, outputs=outputs),
        max_seq_length=opening.max_seq_length,
    )
    return Opened(
        artifact=artifact,
        serving=with_prompts(loaded.serving, opening.prompts, opening.default_prompt_name),
        tokenizer=loaded.tokenizer,
        layout=layout,
        device=device,
        session=loaded.session,
        files=graph | states_of(artifact.graph.parent / name for name in loaded.session.external),
        providers=opening.providers,
        outputs=outputs,
    )


def require_kind(serving: Serving, kind: str | None, *, where: str) -> None:
    """Refuse a model that a class of ``kind`` cannot run, and name the class that can; None: one that gives a single kind.

    Raises:
        KindError: it is of another kind.
    """
    if kind is None:
        if len(serving.kinds) < 2:
            raise KindError(
                f"{where} is a {serving.kind} model and gives nothing else: load it with {CLASSES[serving.kind]}",
                kinds=serving.kinds,
            )
    elif kind not in serving.kinds:
        wanted = " or ".join(CLASSES[other] for other in serving.kinds)
        raise KindError(
            f"{where} is a {serving.kind} model, {CLASSES[kind]} takes {kind} ones: load it with {wanted}",
            kinds=serving.kinds,
        )


def _require_runtime(artifact: Artifact) -> None:
    """Refuse what this ONNX Runtime computes wrongly: attention by lengths, products of bytes."""
    if artifact.manifest is None or artifact.variant is None:
        return
    variant, version = artifact.manifest.variants[artifact.variant], runtime_version()
    if variant.opset >= _LENGTHS_FROM and release_of(version) < _KNOWS_LENGTHS:
        raise UnavailableError(
            f"variant {artifact.variant!r} is of opset {variant.opset}, which ONNX Runtime {version} computes wrongly where "
            'texts are padded: type pip install -U "onnxruntime>=1.25"'
        )
    made = variant.quantization
    if made is not None and made.weight_bits == 8 and made.products.get("static", 0) + made.products.get("row", 0):
        require_exact_sums(f"variant {artifact.variant!r}", artifact.graph, version)


def _warn_of_slow_variant(artifact: Artifact, device: Device) -> None:
    if artifact.manifest is None or artifact.variant is None or device.kind != "cuda":
        return
    precision = artifact.manifest.variants[artifact.variant].precision
    if precision.startswith("int8"):
        warnings.warn(
            f"variant {artifact.variant!r} is made for processors: on CUDA int8 is several times slower than fp16. "
            "Pass variant='fp16' (embedrt quantize MODEL --precision fp16 makes it)",
            stacklevel=4,
        )


def _outputs(artifact: Artifact, kind: str | None) -> tuple[str, ...] | None:
    """What the graph is to compute for ``kind``, where it could give more; None: all."""
    if artifact.manifest is None or kind is None or len(artifact.manifest.serving.kinds) == 1:
        return None
    sparse = artifact.manifest.serving.sparse
    if kind == "sparse" and sparse is not None:
        return (sparse.output,)
    return (_OUTPUTS[kind],)


def _session(
    artifact: Artifact,
    device: Device,
    providers: Providers | None,
    layout: Layout,
    *,
    threads: int | None,
    outputs: tuple[str, ...] | None,
) -> GraphSession:
    return GraphSession(
        artifact.graph,
        device=device,
        providers=providers,
        threads=threads or layout.latency_threads,
        fusions=layout.fusions,
        outputs=outputs,
    )
