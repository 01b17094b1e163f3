"""``embedrt verify ARTIFACT``: check the hashes, and with ``--against`` compare with the checkpoint again."""

import dataclasses
import json as json_module
from typing import Annotated

import typer

from embedrt.artifact.folder import check_files, locate
from embedrt.cli.export import require_exporter
from embedrt.cli.options import Json, Quiet, Revision, TrustRemoteCode, Variant
from embedrt.errors import ManifestError

__all__ = ["verify"]


def verify(
    artifact: Annotated[str, typer.Argument(metavar="ARTIFACT", help="Folder that embedrt export wrote.")],
    against: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The checkpoint to compare with, in PyTorch.")
    ] = None,
    variant: Variant = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check an artifact's files and, with --against, repeat the comparison with its checkpoint."""
    if against is None:
        found = locate(artifact, variant=variant)
        if found.manifest is None:
            raise ManifestError(f"{artifact} has no embedrt.json, so there is nothing to check it with")
        check_files(found)
        answer: dict[str, object] = {"hashes": "ok"}
        sentence = "every file that serving reads is the one that the manifest names"
    else:
        require_exporter()
        import embedrt_export

        _, parity = embedrt_export.verify(
            artifact,
            against=against,
            variant=variant,
            revision=revision,
            trust_remote_code=trust_remote_code,
            quiet=quiet,
        )
        answer = {"hashes": "ok", "parity": dataclasses.asdict(parity)}
        sentence = f"differs from PyTorch by at most {parity.max_abs_difference:.1e} over {parity.texts} texts"
    typer.echo(json_module.dumps(answer, indent=2) if json else f"{artifact}: {sentence}")
