"""``embedrt embed MODEL INPUT``: a file of texts to a file of vectors."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from embedrt.cli.options import Device, Model, Output, Prompt, PromptName, Quiet, Revision, Threads, Variant
from embedrt.cli.reading import read_records
from embedrt.cli.writing import write_jsonl, write_vectors, writer_for
from embedrt.encoder import SentenceEncoder
from embedrt.vectors import VectorPrecision

__all__ = ["embed"]


def embed(
    model: Model,
    source: Annotated[str, typer.Argument(metavar="INPUT", help="Text file (a text a line), .jsonl, or - for stdin.")],
    output: Output = None,
    text_field: Annotated[str, typer.Option(help="The key of the text in .jsonl.")] = "text",
    truncate_dim: Annotated[int | None, typer.Option(min=1, help="Keep the first so many components.")] = None,
    normalize: Annotated[bool, typer.Option("--normalize", help="Bring vectors to length 1.")] = False,
    precision: Annotated[VectorPrecision, typer.Option(help="How a component is stored.")] = "float32",
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Texts a run; without it, a token budget decides.")
    ] = None,
    prompt_name: PromptName = None,
    prompt: Prompt = None,
    variant: Variant = None,
    device: Device = "cpu",
    threads: Threads = None,
    revision: Revision = None,
    quiet: Quiet = False,
) -> None:
    """Embed a file of texts. Without --output: JSON lines on stdout; with it: .npy, .jsonl or .parquet."""
    if output is not None:
        writer_for(output)
    records = read_records(source, text_field=text_field)
    with SentenceEncoder(model, variant=variant, device=device, threads=threads, revision=revision) as encoder:
        vectors = encoder.encode(
            [record[text_field] for record in records],
            prompt_name=prompt_name,
            prompt=prompt,
            batch_size=batch_size,
            show_progress_bar=not quiet and sys.stderr.isatty(),
            precision=precision,
            normalize_embeddings=normalize,
            truncate_dim=truncate_dim,
        )
    if output is None:
        write_jsonl(sys.stdout.buffer, records, vectors)
    else:
        write_vectors(Path(output), records, vectors)
        if not quiet:
            typer.echo(f"{output}: {vectors.shape[0]} vectors of {vectors.shape[1]} × {vectors.dtype}", err=True)
