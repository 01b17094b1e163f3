"""``embedrt export MODEL OUT``: a checkpoint, or a file of word vectors, to a verified artifact."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from embedrt.artifact.manifest import Manifest
from embedrt.cli.options import (
    AllowBelowGate,
    Attention,
    Calibration,
    DefaultPrompt,
    Gate,
    GivenPrompts,
    Json,
    Precisions,
    Processor,
    Quiet,
    Revision,
    Sts,
    TrustRemoteCode,
    named_prompts,
)
from embedrt.cli.word_vectors import (
    Corpus,
    DropFrequent,
    Lowercase,
    Normalize,
    RemoveComponent,
    StopWords,
    Table,
    UnitWords,
    WordSettings,
    WordTokenizer,
    WordVectors,
    WordWeights,
    places,
    refuse,
)
from embedrt.errors import MissingDependencyError
from embedrt.inference.installation import onnxruntime_packages

if TYPE_CHECKING:
    from embedrt_export.quantization import Precision

__all__ = ["export", "require", "require_exporter", "require_quantizer"]

_CHANGES = "Changes of the checkpoint"
_QUANTIZER = ("onnx", "onnx_ir")
_NEEDED = (*_QUANTIZER, "torch", "transformers", "sentence_transformers", "optimum", "onnxscript")


def export(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Checkpoint: a local folder or a Hub id.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Argument(metavar="OUT", help="Folder to write; it appears whole or not at all.", show_default=False),
    ] = None,
    pooling: Annotated[
        list[str] | None,
        typer.Option(help="For plain transformers checkpoints: cls, mean, max … Several are concatenated."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="dense|sparse|cross-encoder|multi-vector", help="What to export it as, where its files do not say."
        ),
    ] = None,
    route: Annotated[
        str | None, typer.Option(metavar="NAME", help="For checkpoints with a Router: query, document …")
    ] = None,
    prompt: GivenPrompts = None,
    default_prompt: DefaultPrompt = None,
    max_seq_length: Annotated[
        int | None,
        typer.Option(
            min=1, rich_help_panel=_CHANGES, help="Read so many tokens of a text; without it, as the checkpoint says."
        ),
    ] = None,
    token_embeddings: Annotated[
        bool, typer.Option("--token-embeddings", help="Let the graph give token vectors too.")
    ] = False,
    maxsim: Annotated[
        bool, typer.Option("--maxsim", help="Let the graph of a multi-vector model compare documents with a query.")
    ] = False,
    keep_vocabulary_of: Annotated[
        list[Path] | None,
        typer.Option(
            rich_help_panel=_CHANGES,
            metavar="FILE",
            help="Texts, one a line: pieces that they never need go. May be given several times.",
        ),
    ] = None,
    static: Annotated[
        bool,
        typer.Option(
            "--static", rich_help_panel=_CHANGES, help="Distill into a table of vectors, one a token: no transformer."
        ),
    ] = False,
    whiten: Annotated[
        Path | None,
        typer.Option(rich_help_panel=_CHANGES, metavar="CORPUS", help="Whiten vectors by these texts, one a line."),
    ] = None,
    dims: Annotated[
        int | None,
        typer.Option(
            min=1, rich_help_panel=_CHANGES, help="Width of distilled vectors (default 256) or whitened ones."
        ),
    ] = None,
    precision: Annotated[
        Precisions | None,
        typer.Option(metavar="fp32|int8|int8-static|fp16", help="Variants to write; may be given several times."),
    ] = None,
    calibration: Calibration = None,
    processor: Processor = "any",
    gate: Gate = None,
    allow_below_gate: AllowBelowGate = False,
    sts: Sts = None,
    attention: Attention = "mask",
    trust_remote_code: TrustRemoteCode = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is an artifact.")] = False,
    revision: Revision = None,
    json: Json = False,
    quiet: Quiet = False,
    word_vectors: WordVectors = None,
    word_tokenizer: WordTokenizer = "whitespace",
    lowercase: Lowercase = False,
    stop_words: StopWords = None,
    table: Table = "fp32",
    normalize: Normalize = False,
    unit_words: UnitWords = False,
    word_weights: WordWeights = None,
    corpus: Corpus = None,
    remove_component: RemoveComponent = False,
    drop_frequent: DropFrequent = 0,
) -> None:
    """Export a checkpoint to ONE graph (transformer, pooling, normalize), verified against PyTorch."""
    source, target = places(model, out, word_vectors)
    words = WordSettings(
        tokenizer=word_tokenizer,
        lowercase=lowercase,
        stop_words=stop_words,
        table=table,
        normalize=normalize,
        unit_words=unit_words,
        weights=word_weights,
        corpus=corpus,
        remove_component=remove_component,
        drop_frequent=drop_frequent,
    )
    of_variants = {
        "--calibration": calibration,
        "--processor": processor != "any",
        "--gate": gate is not None,
        "--allow-below-gate": allow_below_gate,
        "--attention": attention != "mask",
        "--sts": sts is not None and not static and whiten is None,
    }
    if word_vectors is not None:
        of_checkpoints = {
            **of_variants,
            "--kind": kind,
            "--route": route,
            "--prompt": prompt,
            "--default-prompt": default_prompt,
            "--max-seq-length": max_seq_length,
            "--token-embeddings": token_embeddings,
            "--maxsim": maxsim,
            "--keep-vocabulary-of": keep_vocabulary_of,
            "--whiten": whiten,
            "--precision": precision,
            "--revision": revision,
        }
        refuse(of_checkpoints, "is for checkpoints, and a file of word vectors is none: leave it out")
        require_quantizer()
        from embedrt_export.words.job import export_word_vectors

        made = export_word_vectors(source, target, options=words.options(pooling), overwrite=overwrite, quiet=quiet)
        _report(made, target, json=json)
        return
    refuse(words.given(), "is for word vectors: pass --word-vectors FILE too, or leave it out")
    precisions = [cast("Precision", name) for name in precision or [] if name != "fp32"]
    if not precisions:
        refuse(of_variants, "is for variants beside fp32: pass --precision int8 too, or leave it out")
    require_exporter()
    import embedrt_export
    from embedrt_export.changes import Changes
    from embedrt_export.quantization import QuantizeOptions

    manifest = embedrt_export.export(
        source,
        target,
        revision=revision,
        kind=kind,
        pooling=pooling or None,
        route=route,
        token_embeddings=token_embeddings,
        maxsim=maxsim,
        changes=Changes(
            prompts=named_prompts(prompt),
            default_prompt=default_prompt,
            max_seq_length=max_seq_length,
            keep_vocabulary_of=tuple(keep_vocabulary_of or ()),
            static=static,
            whiten=whiten,
            dims=dims,
            sts=sts,
        ),
        precisions=precisions,
        quantize_options=QuantizeOptions(
            calibration=calibration,
            processor=processor,
            gate=gate,
            allow_below_gate=allow_below_gate,
            sts=sts,
            attention=attention,
        ),
        trust_remote_code=trust_remote_code,
        overwrite=overwrite,
        quiet=quiet,
    )
    _report(manifest, target, json=json)


def _report(manifest: Manifest, out: Path, *, json: bool) -> None:
    if json:
        typer.echo(manifest.to_json(), nl=False)
        return
    for name, variant in manifest.variants.items():
        size, parity = manifest.files[variant.file].bytes, variant.parity
        typer.echo(
            f"{out / variant.file}: {name}, {size / 1e6:.1f} MB, "
            f"max |Δ| {parity.max_abs_difference:.1e}, cosine mean {parity.cosine_mean:.5f}, min {parity.cosine_min:.5f}"
        )


def require_exporter() -> None:
    """Say what to install where the export extra is missing.

    Raises:
        MissingDependencyError: one of its packages is not there.
    """
    require(_NEEDED, "the exporter needs PyTorch and more", "export")


def require_quantizer() -> None:
    """The same for the quantize extra, which has no PyTorch in it."""
    require(_QUANTIZER, "quantization edits graphs", "quantize")


def require(packages: tuple[str, ...], reason: str, extra: str) -> None:
    """Say which ``packages`` of an ``extra`` are missing, and the ``reason`` why they are needed.

    Raises:
        MissingDependencyError: one is not there.
    """
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise MissingDependencyError(f"{', '.join(missing)} not installed: {reason}. {_to_install(missing, extra)}")


def _to_install(missing: list[str], extra: str) -> str:
    """These extras bring ONNX Runtime for processors, which would overwrite another one's files."""
    if others := [name for name in onnxruntime_packages() if name != "onnxruntime"]:
        named = " ".join(name.replace("_", "-") for name in missing)
        return f"Type: pip install {named} (embedrt[{extra}] would bring onnxruntime, which overwrites {others[0]})"
    return f'Type: pip install "embedrt[{extra}]"'
