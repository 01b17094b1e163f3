"""``embedrt export MODEL OUT``: a checkpoint to a verified artifact."""

import importlib.util
from pathlib import Path
from typing import Annotated, cast

import typer

from embedrt.cli.options import (
    AllowBelowGate,
    Calibration,
    Gate,
    Json,
    Precisions,
    Processor,
    Quiet,
    Revision,
    Sts,
)
from embedrt.errors import MissingDependencyError

__all__ = ["export", "require", "require_exporter", "require_quantizer"]

_QUANTIZER = ("onnx", "onnx_ir")
_NEEDED = (*_QUANTIZER, "torch", "transformers", "sentence_transformers", "optimum", "onnxscript")


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Checkpoint: a local folder or a Hub id.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; it appears whole or not at all.")],
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
    token_embeddings: Annotated[
        bool, typer.Option("--token-embeddings", help="Let the graph give token vectors too.")
    ] = False,
    keep_vocabulary_of: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Texts, one a line: pieces that they never need go. May be given several times."
        ),
    ] = None,
    whiten: Annotated[
        Path | None,
        typer.Option(metavar="CORPUS", help="Whiten vectors by these texts, one a line."),
    ] = None,
    dims: Annotated[
        int | None, typer.Option(min=1, help="Width of whitened vectors; without it, all that vary.")
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
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code that the checkpoint brings along.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is an artifact.")] = False,
    revision: Revision = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Export a checkpoint to ONE graph (transformer, pooling, normalize), verified against PyTorch."""
    require_exporter()
    import embedrt_export
    from embedrt_export.changes import Changes
    from embedrt_export.quantization import Precision, QuantizeOptions

    manifest = embedrt_export.export(
        model,
        out,
        revision=revision,
        kind=kind,
        pooling=pooling or None,
        route=route,
        token_embeddings=token_embeddings,
        changes=Changes(keep_vocabulary_of=tuple(keep_vocabulary_of or ()), whiten=whiten, dims=dims),
        precisions=[cast("Precision", name) for name in precision or [] if name != "fp32"],
        quantize_options=QuantizeOptions(
            calibration=calibration, processor=processor, gate=gate, allow_below_gate=allow_below_gate, sts=sts
        ),
        trust_remote_code=trust_remote_code,
        overwrite=overwrite,
        quiet=quiet,
    )
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
        raise MissingDependencyError(
            f'{", ".join(missing)} not installed: {reason}. Type: pip install "embedrt[{extra}]"'
        )
