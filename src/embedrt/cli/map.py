"""``embedrt map MODEL INPUT... --output FOLDER``: corpora of any size, a part at a time; stopped, it goes on where it was."""

import dataclasses
import json as json_module
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from embedrt.cli.options import Json, Model, Prompt, PromptName, Quiet, Revision, TextField, Threads, Variant
from embedrt.corpus import Corpus, EncodeOptions, Form, Kind, map_corpus

__all__ = ["map_files"]


def map_files(
    model: Model,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help=".txt (a text a line), .jsonl, .csv, .tsv, all maybe .gz, .parquet; or folders that hold such.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder of the vectors.")],
    form: Annotated[
        Form,
        typer.Option("--format", help="Of the parts; .npy (dense) and .npz (sparse) hold the vectors alone."),
    ] = "parquet",
    part_rows: Annotated[
        int | None, typer.Option(min=1, help="Rows of a part; without it 20000, or fewer with a vector a token.")
    ] = None,
    text_field: TextField = "text",
    keep: Annotated[
        list[str] | None,
        typer.Option(help="A field to write beside the vectors; may be given several times. Without it: all."),
    ] = None,
    skip_invalid: Annotated[bool, typer.Option("--skip-invalid", help="Leave out rows without a text.")] = False,
    device: Annotated[
        list[str] | None,
        typer.Option(help="cpu, cuda, cuda:N or auto. Several: an encoder on each, in a process of its own."),
    ] = None,
    kind: Annotated[
        list[str] | None,  # typer takes no list of literals; the job says what it expects
        typer.Option(
            help="dense, sparse or multi-vector, where the model gives several (BGE-M3); without it, the model's own. May be "
            "given several times, for all of one run."
        ),
    ] = None,
    role: Annotated[
        Literal["query", "document"] | None, typer.Option("--as", help="Encode the texts as queries or as documents.")
    ] = None,
    precision: Annotated[
        Literal["float32", "binary", "ubinary"], typer.Option(help="How a component is stored.")
    ] = "float32",
    normalize: Annotated[bool, typer.Option("--normalize", help="Bring vectors to length 1.")] = False,
    truncate_dim: Annotated[int | None, typer.Option(min=1, help="Keep the first so many components.")] = None,
    max_active_dims: Annotated[
        int | None, typer.Option(min=1, help="Keep the so many heaviest terms of sparse vectors.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Texts a run; without it, a token budget decides.")
    ] = None,
    prompt_name: PromptName = None,
    prompt: Prompt = None,
    variant: Variant = None,
    threads: Threads = None,
    revision: Revision = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew where an earlier job has left parts.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Embed corpora of any size into a folder, in bounded memory. Stopped, the same command goes on where it was.

    Each part is written whole or not at all. An int8 vector would depend on the
    range of its part: take float32, or one bit a component.
    """
    corpus = Corpus(
        inputs=inputs,
        output=output,
        form=form,
        part_rows=part_rows,
        text_field=text_field,
        keep=tuple(keep) if keep else None,
        skip_invalid=skip_invalid,
        overwrite=overwrite,
    )
    options = EncodeOptions(
        model=model,
        kinds=cast("tuple[Kind, ...]", tuple(kind)) if kind else None,
        variant=variant,
        revision=revision,
        threads=threads,
        batch_size=batch_size,
        role=role,
        prompt_name=prompt_name,
        prompt=prompt,
        precision=precision,
        normalize_embeddings=normalize or None,
        truncate_dim=truncate_dim,
        max_active_dims=max_active_dims,
    )
    shown = not quiet and sys.stderr.isatty()
    try:
        with _interruptible():
            report = map_corpus(corpus, options, devices=tuple(device or ("cpu",)), shown=shown)
    except KeyboardInterrupt:
        typer.echo(f"stopped; the parts in {output} stay, and the same command goes on where it was", err=True)
        raise
    if json:
        typer.echo(json_module.dumps(dataclasses.asdict(report)))
    elif not quiet:
        there = f", {report.there_already} were there" if report.there_already else ""
        skipped = f"; {report.skipped} rows without a text were left out" if report.skipped else ""
        rate = f" ({report.vectors / report.seconds:.0f} a second)" if report.vectors else ""
        typer.echo(f"{output}: {report.vectors} vectors{rate} in {report.parts} parts{there}{skipped}", err=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """The first Ctrl-C is answered at once, and parts that are being written are finished; a second one waits for nothing."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored, as under nohup
        yield
        return
    signal.signal(signal.SIGINT, _stop)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _stop:
            signal.signal(signal.SIGINT, before)


def _stop(*_signal: object) -> None:
    signal.signal(signal.SIGINT, _end)
    os.write(2, "stopping …\n".encode())  # stderr's buffer may be at work
    raise KeyboardInterrupt


def _end(*_signal: object) -> None:
    import multiprocessing

    for child in multiprocessing.active_children():
        child.terminate()
    os._exit(130)
