"""``embedrt verify ARTIFACT``: check the hashes, and with ``--against`` compare with what it was made of again."""

import dataclasses
import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from embedrt.artifact.folder import check_files, locate
from embedrt.artifact.manifest import Parity
from embedrt.cli.export import require_exporter, require_quantizer
from embedrt.cli.options import Json, Quiet, Revision, TrustRemoteCode, Variant
from embedrt.cli.word_vectors import Corpus, refuse
from embedrt.errors import ManifestError

__all__ = ["verify"]


def verify(
    artifact: Annotated[str, typer.Argument(metavar="ARTIFACT", help="Folder that embedrt export wrote.")],
    against: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL|FILE", help="What it was made of: a checkpoint, in PyTorch, or a file of word vectors."
        ),
    ] = None,
    variant: Variant = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    corpus: Corpus = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check an artifact's files and, with --against, repeat the comparison with what it was made of."""
    file = against is not None and Path(against).expanduser().is_file()
    if not file:
        refuse({"--corpus": corpus}, "is for artifacts of word vectors: add --against FILE, or leave it out")
    if against is None:
        _check_hashes(artifact, variant, revision)
        answer: dict[str, object] = {"hashes": "ok"}
        sentence = "every file that serving reads is the one that the manifest names"
    else:
        if file:
            refuse({"--revision": revision, "--trust-remote-code": trust_remote_code}, f"is not for {against}, a file")
            parity = _against_word_vectors(artifact, against, corpus, variant, quiet=quiet)
        else:
            parity = _against_checkpoint(artifact, against, variant, revision, trust_remote_code, quiet=quiet)
        answer = {"hashes": "ok", "parity": dataclasses.asdict(parity)}
        sentence = (
            f"differs from {'its definition' if file else 'PyTorch'} by at most {parity.max_abs_difference:.1e} "
            f"over {parity.texts} texts"
        )
    typer.echo(json_module.dumps(answer, indent=2) if json else f"{artifact}: {sentence}")


def _check_hashes(artifact: str, variant: str | None, revision: str | None) -> None:
    found = locate(artifact, variant=variant, revision=revision)
    if found.manifest is None:
        raise ManifestError(
            f"{artifact} has no embedrt.json, so there is nothing to check it with: pass the folder that embedrt export wrote"
        )
    check_files(found)


def _against_checkpoint(
    artifact: str, against: str, variant: str | None, revision: str | None, trust_remote_code: bool, *, quiet: bool
) -> Parity:
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
    return parity


def _against_word_vectors(
    artifact: str, against: str, corpus: Path | None, variant: str | None, *, quiet: bool
) -> Parity:
    require_quantizer()
    from embedrt_export.words.verifying import verify_word_vectors

    _, parity = verify_word_vectors(artifact, against=against, corpus=corpus, variant=variant, quiet=quiet)
    return parity
