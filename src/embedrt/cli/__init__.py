"""The command line: one small file a command, the entry point here.

Answers go to stdout, progress and errors to stderr. Exit code 0: done; 1: the job failed; 2: wrong usage.
"""

import io
import sys

import typer
from rich.console import Console
from rich.text import Text

from embedrt import __version__
from embedrt.cli import (
    bench,
    doctor,
    embed,
    export,
    graft,
    inspect,
    map,
    pairs,
    quantize,
    rerank,
    search,
    serve,
    similarity,
    tune,
    verify,
)
from embedrt.errors import EmbedrtError, InputError, KindError

__all__ = ["app", "main"]

FAILED, WRONG_USAGE = 1, 2
_COMMANDS = {
    "dense": "embedrt embed or embedrt search",
    "sparse": "embedrt embed --kind sparse",
    "multi-vector": "embedrt embed --kind multi-vector",
    "cross-encoder": "embedrt rerank",
}
"""Which one takes a model of a kind, where an error names a class."""

app = typer.Typer(
    name="embedrt",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("export")(export.export)
app.command("graft")(graft.graft)
app.command("quantize")(quantize.quantize)
app.command("verify")(verify.verify)
app.command("inspect")(inspect.inspect)
app.command("embed")(embed.embed)
app.command("map")(map.map_files)
app.command("similarity")(similarity.similarity)
app.command("search")(search.search)
app.command("rerank")(rerank.rerank)
app.command("pairs")(pairs.pairs)
app.command("tune")(tune.tune)
app.command("serve")(serve.serve)
app.command("bench")(bench.bench)
app.command("doctor")(doctor.doctor)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_print_version, help="Print the version and stop."
    ),
) -> None:
    """Sentence-embedding checkpoints as one verified ONNX graph, served without PyTorch."""
    del version  # its callback has done it


def main() -> None:
    """The console script ``embedrt``."""
    _write_any_character()
    try:
        app()
    except KindError as error:
        _tell(f"{error}{''.join(f', or type {_COMMANDS[kind]}' for kind in error.kinds)}")
        sys.exit(FAILED)
    except EmbedrtError as error:
        _tell(str(error))
        sys.exit(WRONG_USAGE if isinstance(error, InputError) else FAILED)
    except OSError as error:  # a full disk, a folder that is not the user's
        place = f"{error.filename}: " if error.filename else ""
        _tell(f"{place}{error.strerror or error}")
        sys.exit(FAILED)


def _write_any_character() -> None:
    """Keep stdout from failing at what its encoding lacks (Windows' pipes, LANG=C), when the work is done: JSON is UTF-8."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in {"strict", "surrogateescape"}:
        encoding = "utf-8" if "--json" in sys.argv else sys.stdout.encoding
        sys.stdout.reconfigure(encoding=encoding, errors="replace")


def _tell(what: str) -> None:
    # Text, not markup: a path may hold square brackets
    Console(stderr=True, soft_wrap=True).print(Text.assemble(("embedrt:", "bold red"), f" {what}"))
