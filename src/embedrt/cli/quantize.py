"""``embedrt quantize ARTIFACT --precision int8``: add a variant to an artifact, without PyTorch."""

from typing import Annotated, cast

import typer

from embedrt.cli.export import require_quantizer
from embedrt.cli.options import AllowBelowGate, Attention, Calibration, Gate, Json, Precisions, Processor, Quiet, Sts
from embedrt.errors import InputError

__all__ = ["quantize"]


def quantize(
    artifact: Annotated[str, typer.Argument(metavar="ARTIFACT", help="Folder that embedrt export wrote.")],
    precision: Annotated[
        Precisions, typer.Option(metavar="int8|int8-static|fp16", help="Which variant; may be given several times.")
    ],
    calibration: Calibration = None,
    processor: Processor = "any",
    gate: Gate = None,
    allow_below_gate: AllowBelowGate = False,
    sts: Sts = None,
    attention: Attention = "mask",
    make_default: Annotated[
        bool, typer.Option("--default", help="Load this variant (the last one given) where none is named.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Add int8, int8-static or fp16 to an artifact, and say what it costs."""
    require_quantizer()
    from embedrt_export.quantization import Precision, QuantizeOptions
    from embedrt_export.quantization import quantize as add_variant

    options = QuantizeOptions(
        calibration=calibration,
        processor=processor,
        gate=gate,
        allow_below_gate=allow_below_gate,
        sts=sts,
        attention=attention,
    )
    for name in precision:
        if name == "fp32":
            raise InputError("fp32 is what an artifact begins with: nothing to do. Pass int8, int8-static or fp16")
        manifest = add_variant(
            artifact, cast("Precision", name), options=options, make_default=make_default, quiet=quiet
        )
        variant = manifest.variants[name]
        parity = variant.parity
        if not json:
            typer.echo(
                f"{variant.file}: {manifest.files[variant.file].bytes / 1e6:.1f} MB, "
                f"cosine to fp32 mean {parity.cosine_mean:.5f}, p01 {parity.cosine_p01:.5f}, min {parity.cosine_min:.5f}"
                + (f", STS {parity.sts_change['mean']:+.3f}" if parity.sts_change else "")
            )
    if json:
        typer.echo(manifest.to_json(), nl=False)
