"""``embedrt embed MODEL INPUT``: a file of texts to a file of vectors."""

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer

from embedrt.cli.asked import Asked
from embedrt.cli.embedding import JSONL_KINDS, kind_of_model, require_options_of, write_records
from embedrt.cli.options import (
    Device,
    Model,
    Output,
    Prompt,
    PromptName,
    Quiet,
    Revision,
    Source,
    TextField,
    Threads,
    Variant,
)
from embedrt.corpus.columns import Vectors
from embedrt.corpus.kinds import KINDS, Kind, require_file
from embedrt.corpus.reading import Record, read_records
from embedrt.corpus.writing import EMBEDDING_FIELD, replacing, require_stdout, write_jsonl, write_vectors
from embedrt.errors import InputError
from embedrt.sparse.forms import Form
from embedrt.vectors import VectorPrecision

__all__ = ["embed"]


def embed(
    model: Model,
    source: Source,
    output: Output = None,
    text_field: TextField = "text",
    truncate_dim: Annotated[int | None, typer.Option(min=1, help="Keep the first so many components.")] = None,
    normalize: Annotated[bool, typer.Option("--normalize", help="Bring vectors to length 1.")] = False,
    precision: Annotated[VectorPrecision, typer.Option(help="How a component is stored.")] = "float32",
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Texts a run; without it, a token budget decides.")
    ] = None,
    kind: Annotated[
        Kind | None,
        typer.Option(help="Which vectors, where the model gives several (BGE-M3); without it, the model's own."),
    ] = None,
    role: Annotated[
        Literal["query", "document"] | None, typer.Option("--as", help="Encode the texts as queries or as documents.")
    ] = None,
    form: Annotated[
        Form | None, typer.Option("--format", help="Which database's form sparse vectors have; without it, qdrant's.")
    ] = None,
    max_active_dims: Annotated[
        int | None, typer.Option(min=1, help="Keep the so many heaviest terms of sparse vectors.")
    ] = None,
    prompt_name: PromptName = None,
    prompt: Prompt = None,
    variant: Variant = None,
    device: Device = "cpu",
    threads: Threads = None,
    revision: Revision = None,
    quiet: Quiet = False,
) -> None:
    """Embed a file of texts. Without --output: JSON lines on stdout; with it: .jsonl or .parquet, or vectors alone.

    Those are .npy where there is one a text, .npz where it is sparse.
    Records keep their fields, but for one named embedding, which is replaced.
    """
    if output is None:
        require_stdout()
    records = read_records(source, text_field=text_field)
    found = kind or kind_of_model(model, variant=variant, revision=revision)
    dense = {"truncate-dim": truncate_dim, "normalize": normalize, "precision": precision != "float32"}
    require_options_of(found, dense=dense, sparse={"format": form, "max-active-dims": max_active_dims})
    lines = output is None or output.suffix.lower() == ".jsonl"
    if output is not None:
        require_file(output, found)
    if form is not None and not lines:
        raise InputError(f"--format is for JSON lines: leave it out for {output}")
    asked = Asked(
        model=model,
        variant=variant,
        device=device,
        threads=threads,
        revision=revision,
        prompt_name=prompt_name,
        prompt=prompt,
        batch_size=batch_size,
        role=role or KINDS[found].role,
        form=form or "qdrant",
        max_active_dims=max_active_dims,
        shown=not quiet and sys.stderr.isatty(),
    )
    texts = [record[text_field] for record in records]
    if lines and found in JSONL_KINDS:
        told = _write_as_they_come(found, output, records, texts, asked)
    else:
        own = {
            "precision": precision,
            "normalize_embeddings": normalize,
            "truncate_dim": truncate_dim,
            "max_active_dims": max_active_dims,
        }
        told = _write(found, output, records, _vectors(found, texts, asked, own))
    if output is not None and not quiet:
        typer.echo(f"{output}: {told}", err=True)


def _write_as_they_come(kind: Kind, output: Path | None, records: list[Record], texts: list[str], asked: Asked) -> str:
    with nullcontext(require_stdout()) if output is None else replacing(output) as file:
        write_records(kind, file, records, texts, asked)
    return f"{kind} vectors of {len(texts)} texts"


def _vectors(kind: Kind, texts: list[str], asked: Asked, own: Mapping[str, object]) -> Vectors:
    """With those of its ``own`` options that vectors of this kind have."""
    taken = KINDS[kind]
    with asked.opened(taken.encoder) as encoder:
        options = {name: own[name] for name in taken.options if name in own}
        return taken.held(asked.encoded(encoder, texts, show_progress_bar=asked.shown, **options), encoder)


def _write(kind: Kind, output: Path | None, records: list[Record], vectors: Vectors) -> str:
    if output is None:
        write_jsonl(require_stdout(), records, {EMBEDDING_FIELD: vectors})
    else:
        write_vectors(output, records, vectors)
    if isinstance(vectors, np.ndarray):
        return f"{vectors.shape[0]} vectors of {vectors.shape[1]} × {vectors.dtype}"
    return f"{kind} vectors of {len(records)} texts"
