"""``embedrt export MODEL OUT``: a checkpoint to a verified artifact."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from embedrt.cli.options import Json, Quiet, Revision
from embedrt.errors import MissingDependencyError

__all__ = ["export", "require_exporter"]

_NEEDED = ("torch", "transformers", "sentence_transformers", "optimum", "onnxscript", "onnx_ir")


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Checkpoint: a local folder or a Hub id.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; it appears whole or not at all.")],
    pooling: Annotated[
        list[str] | None,
        typer.Option(help="For plain transformers checkpoints: cls, mean, max … Several are concatenated."),
    ] = None,
    token_embeddings: Annotated[
        bool, typer.Option("--token-embeddings", help="Let the graph give token vectors too.")
    ] = False,
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

    manifest = embedrt_export.export(
        model,
        out,
        revision=revision,
        pooling=pooling or None,
        token_embeddings=token_embeddings,
        trust_remote_code=trust_remote_code,
        overwrite=overwrite,
        quiet=quiet,
    )
    if json:
        typer.echo(manifest.to_json(), nl=False)
        return
    parity = manifest.variants[manifest.default_variant].parity
    size = sum(record.bytes for record in manifest.files.values())
    typer.echo(
        f"{out}: {size / 1e6:.1f} MB, differs from PyTorch by at most {parity.max_abs_difference:.1e} over {parity.texts} texts"
    )


def require_exporter() -> None:
    """Say what to install where the export extra is missing.

    Raises:
        MissingDependencyError: one of its packages is not there.
    """
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise MissingDependencyError(
            f'{", ".join(missing)} not installed: the exporter needs PyTorch and more. Type: pip install "embedrt[export]"'
        )
