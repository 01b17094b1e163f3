"""``embedrt graft FOLDER OUT``: a transformer-only ONNX graph to a verified artifact, without PyTorch."""

from pathlib import Path
from typing import Annotated

import typer

from embedrt.cli.export import require
from embedrt.cli.options import DefaultPrompt, GivenPrompts, Json, Quiet, named_prompts

__all__ = ["graft"]

_NEEDED = ("onnx", "onnx_ir", "safetensors")


def graft(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Checkpoint with an .onnx file of its transformer.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; it appears whole or not at all.")],
    graph: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Which .onnx file of FOLDER; without it, the float32 one.")
    ] = None,
    pooling: Annotated[
        list[str] | None,
        typer.Option(help="For folders without modules.json: cls, mean, max … Several are concatenated."),
    ] = None,
    normalize: Annotated[
        bool, typer.Option("--normalize", help="For folders without modules.json: vectors of length 1.")
    ] = False,
    prompt: GivenPrompts = None,
    default_prompt: DefaultPrompt = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is an artifact.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Finish a transformer-only ONNX graph: append pooling, Dense, LayerNorm and Normalize, check them, pack an artifact."""
    require(_NEEDED, "grafting edits graphs", "quantize")
    from embedrt_export.graft import GraftOptions
    from embedrt_export.graft import graft as graft_onto

    options = GraftOptions(
        graph=graph,
        pooling=pooling or None,
        normalize=normalize,
        prompts=named_prompts(prompt),
        default_prompt=default_prompt,
    )
    manifest = graft_onto(folder, out, options=options, overwrite=overwrite, quiet=quiet)
    if json:
        typer.echo(manifest.to_json(), nl=False)
        return
    name = manifest.default_variant
    variant = manifest.variants[name]
    typer.echo(
        f"{out / variant.file}: {name}, {manifest.files[variant.file].bytes / 1e6:.1f} MB, "
        f"max |Δ| {variant.parity.max_abs_difference:.1e} against {variant.parity.reference}"
    )
