"""The options that several commands share, each written once."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Artifact folder, single .onnx file, or Hub id.")]
Variant = Annotated[str | None, typer.Option(help="A variant of the artifact; without it, the manifest's default.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:N or auto.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Without it, as many as affinity and CPU quota allow.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub repository.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
PromptName = Annotated[str | None, typer.Option(help="Name of a prompt of the checkpoint.")]
Prompt = Annotated[str | None, typer.Option(help="A text that is put before each text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write.")]
