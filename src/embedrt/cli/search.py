"""``embedrt search MODEL INPUT QUERY …``: the texts of a file nearest to each query; a cross-encoder may order them again."""

import json as json_module
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from embedrt.cli.options import Device, Json, Model, Quiet, Revision, Source, TextField, Threads, Variant
from embedrt.cli.tables import table_console
from embedrt.corpus.reading import name_of, read_texts
from embedrt.cross_encoder import CrossEncoder
from embedrt.encoder import SentenceEncoder
from embedrt.errors import InputError
from embedrt.search import semantic_search
from embedrt.similarity import similarity_function

__all__ = ["search"]

Found = list[tuple[float, int]]
"""Score and index of texts, best first."""


def search(
    model: Model,
    source: Source,
    queries: Annotated[list[str], typer.Argument(metavar="QUERY", help="One or several.")],
    top_k: Annotated[int, typer.Option(min=1, help="Texts to show for each query.")] = 10,
    rerank: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A cross-encoder that orders the nearest texts again.")
    ] = None,
    candidates: Annotated[int, typer.Option(min=1, help="How many it reads for each query.")] = 50,
    text_field: TextField = "text",
    variant: Variant = None,
    device: Device = "cpu",
    threads: Threads = None,
    revision: Revision = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the texts nearest to each query. Prompts of the checkpoint for queries and documents are used."""
    texts = read_texts(source, text_field=text_field)
    if not texts:
        raise InputError(f"{name_of(source)} holds no text: pass a file with one a line")
    shown = not quiet and sys.stderr.isatty()
    with ExitStack() as opened:
        encoder = opened.enter_context(
            SentenceEncoder(model, variant=variant, device=device, threads=threads, revision=revision)
        )
        reranker = None
        if rerank is not None:
            reranker = opened.enter_context(CrossEncoder(rerank, device=device, threads=threads))
            reranker.rank("", [])  # or it is known only after everything is encoded that it cannot
        vectors = encoder.encode_document(texts, show_progress_bar=shown)
        measure = similarity_function(encoder.similarity_fn_name)
        wanted = top_k if rerank is None else max(top_k, candidates)
        hits = semantic_search(encoder.encode_query(queries), vectors, top_k=wanted, score_function=measure)
        found = [[(hit["score"], hit["corpus_id"]) for hit in row] for row in hits]
        if reranker is not None:
            found = [_reranked(reranker, query, texts, row) for query, row in zip(queries, found, strict=True)]
    answers = [
        {"query": query, "results": [_result(score, index, texts) for score, index in row[:top_k]]}
        for query, row in zip(queries, found, strict=True)
    ]
    if json:
        typer.echo(json_module.dumps(answers, ensure_ascii=False))
        return
    console = table_console()
    for answer in answers:
        console.print(_table(answer))


def _reranked(reranker: CrossEncoder, query: str, texts: Sequence[str], found: Found) -> Found:
    """What was found for a query, ordered by what ``reranker`` makes of query and text."""
    ranked = reranker.rank(query, [texts[index] for _, index in found])
    return [(entry["score"], found[entry["corpus_id"]][1]) for entry in ranked]


def _result(score: float, index: int, texts: Sequence[str]) -> dict[str, Any]:
    return {"number": index + 1, "score": score, "text": texts[index]}


def _table(answer: dict[str, Any]) -> Table:
    table = Table(
        Column("score", no_wrap=True),
        Column("number", justify="right", no_wrap=True),
        "text",
        title=Text(answer["query"]),
        title_justify="left",
    )
    for result in answer["results"]:
        table.add_row(f"{result['score']:.4f}", str(result["number"]), Text(result["text"]))
    return table
