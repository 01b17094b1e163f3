"""``embedrt rerank MODEL QUERY DOCUMENTS``: the texts of a file, the best answer to the query first."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from embedrt.cli.options import Device, Json, Model, Prompt, PromptName, Quiet, Revision, TextField, Threads, Variant
from embedrt.corpus.lines import as_json
from embedrt.corpus.reading import Record, name_of, read_records
from embedrt.cross_encoder import CrossEncoder, Ranked
from embedrt.errors import InputError

__all__ = ["rerank"]


def rerank(
    model: Model,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What the documents are to answer.")],
    source: Annotated[
        str,
        typer.Argument(
            metavar="DOCUMENTS",
            help="Text file (a document a line), .jsonl, .csv, .tsv, .gz of these, .parquet, or - for stdin.",
        ),
    ] = "-",
    top_k: Annotated[int | None, typer.Option(min=1, help="Show so many; without it, all.")] = None,
    text_field: TextField = "text",
    activation: Annotated[
        str | None, typer.Option(help="In place of the checkpoint's own: identity gives logits, sigmoid 0 to 1.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Pairs a run; without it, a token budget decides.")
    ] = None,
    prompt_name: PromptName = None,
    prompt: Prompt = None,
    variant: Variant = None,
    device: Device = "cpu",
    threads: Threads = None,
    revision: Revision = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Order documents by how well a cross-encoder finds that they answer the query. A score, a tab and a text a line."""
    records = read_records(source, text_field=text_field)
    if not records:
        raise InputError(f"{name_of(source)} holds no document: pass one a line")
    if json:
        _require_no_such_fields(records, source)
    with CrossEncoder(model, variant=variant, device=device, threads=threads, revision=revision) as reranker:
        ranked = reranker.rank(
            query,
            [record[text_field] for record in records],
            top_k=top_k,
            prompt_name=prompt_name,
            prompt=prompt,
            batch_size=batch_size,
            show_progress_bar=not quiet and sys.stderr.isatty(),
            activation_fn=activation,
        )
    for entry in ranked:
        record = records[entry["corpus_id"]]
        typer.echo(as_json({**record, **entry}) if json else _line(entry, str(record[text_field])))


def _require_no_such_fields(records: Sequence[Record], source: str) -> None:
    """Refuse records with fields of the names that ranking gives, which would be lost."""
    for number, record in enumerate(records, 1):
        if taken := next((field for field in ("score", "corpus_id") if field in record), None):
            raise InputError(
                f"{name_of(source)} has a field {taken!r} (record {number}), and --json writes "
                "the ranking's own under that name: give the field another one, or leave out --json"
            )


def _line(entry: Ranked, text: str) -> str:
    return f"{entry['score']:.6f}\t{' '.join(text.split())}"
