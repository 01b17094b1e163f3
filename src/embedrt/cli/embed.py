"""``embedrt embed MODEL INPUT``: a file of texts to a file of vectors."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from embedrt.cli.asked import Asked
from embedrt.cli.embedding import JSONL_KINDS, kind_of_model, require_jsonl, write_records
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
from embedrt.cli.sparse import write_npz
from embedrt.corpus.reading import Record, read_records
from embedrt.corpus.writing import replacing, require_stdout, write_jsonl, write_vectors, writer_for
from embedrt.encoder import SentenceEncoder
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
        Literal["dense", "sparse", "multi-vector"] | None,
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
    """Embed a file of texts. Without --output: JSON lines on stdout; with it: .npy, .jsonl or .parquet.

    Vectors that are no matrix (sparse, multi-vector) are written as JSON lines, sparse ones to .npz too.
    Records keep their fields, but for one named embedding, which is replaced.
    """
    if output is None:
        require_stdout()
    records = read_records(source, text_field=text_field)
    found = kind or kind_of_model(model, variant=variant, revision=revision)
    asked = Asked(
        model=model,
        variant=variant,
        device=device,
        threads=threads,
        revision=revision,
        prompt_name=prompt_name,
        prompt=prompt,
        batch_size=batch_size,
        role=role,
        form=form or "qdrant",
        max_active_dims=max_active_dims,
        shown=not quiet and sys.stderr.isatty(),
    )
    _require_sparse(found, {"format": form, "max-active-dims": max_active_dims})
    if found in JSONL_KINDS:
        dense_only = {"truncate-dim": truncate_dim, "normalize": normalize, "precision": precision != "float32"}
        require_jsonl(found, output, **dense_only)
        _write_records(found, output, records, text_field, asked)
        return
    if output is not None:
        writer_for(output)
    vectors = _dense(
        [record[text_field] for record in records],
        asked,
        precision=precision,
        normalize_embeddings=normalize,
        truncate_dim=truncate_dim,
    )
    if output is None:
        write_jsonl(require_stdout(), records, vectors)
    else:
        write_vectors(Path(output), records, vectors)
        if not quiet:
            typer.echo(f"{output}: {vectors.shape[0]} vectors of {vectors.shape[1]} × {vectors.dtype}", err=True)


def _require_sparse(kind: str, options: dict[str, object]) -> None:
    """Refuse options of sparse vectors where there are none."""
    if kind != "sparse" and (given := [name for name, value in options.items() if value is not None]):
        raise InputError(
            f"{', '.join(f'--{name}' for name in given)} is for sparse vectors, and the model gives {kind} ones: "
            "leave it out, or add --kind sparse where it gives those too"
        )


def _write_records(kind: str, output: Path | None, records: list[Record], text_field: str, asked: Asked) -> None:
    texts = [record[text_field] for record in records]
    if output is None:
        write_records(kind, require_stdout(), records, texts, asked)
        return
    with replacing(output) as file:
        if output.suffix.lower() == ".npz":
            write_npz(file, texts, asked)
        else:
            write_records(kind, file, records, texts, asked)
    if asked.shown:
        typer.echo(f"{output}: {kind} vectors of {len(texts)} texts", err=True)


def _dense(texts: list[str], asked: Asked, **options: Any) -> Any:
    """Vectors (texts, dim)."""
    with asked.opened(SentenceEncoder) as encoder:
        return asked.encoded(encoder, texts, show_progress_bar=asked.shown, **options)
