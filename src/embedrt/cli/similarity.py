"""``embedrt similarity MODEL TEXT TEXT …``: every text against every text."""

import json as json_module
from collections.abc import Iterator
from itertools import combinations
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.table import Column, Table
from rich.text import Text

from embedrt.cli.options import Device, Json, Model, Prompt, PromptName, Revision, Variant
from embedrt.cli.tables import table_console
from embedrt.encoder import SentenceEncoder

__all__ = ["narrowest_table", "similarity", "similarity_lines", "similarity_table"]

_LONGEST_TEXT = 60
_SHORTEST_TEXT = 20  # columns that longer texts have in the narrowest table
_BESIDE = 3  # columns that a border and two spaces take


def similarity(
    model: Model,
    texts: Annotated[list[str], typer.Argument(metavar="TEXT", help="Two texts or more.")],
    prompt_name: PromptName = None,
    prompt: Prompt = None,
    variant: Variant = None,
    device: Device = "cpu",
    revision: Revision = None,
    json: Json = False,
) -> None:
    """Compare every text with every text: a table, or, where a terminal has no room for it, a pair a line."""
    if len(texts) < 2:
        raise typer.BadParameter("one text has nothing to be compared with: pass two or more", param_hint="TEXT")
    with SentenceEncoder(model, variant=variant, device=device, revision=revision) as encoder:
        vectors = encoder.encode(texts, prompt_name=prompt_name, prompt=prompt)
        scores = encoder.similarity(vectors, vectors).tolist()
    if json:
        typer.echo(json_module.dumps({"texts": texts, "similarity": scores}, ensure_ascii=False))
        return
    console = table_console()
    if console.width < narrowest_table(texts, scores):
        for line in similarity_lines(texts, scores):
            typer.echo(line)
    else:
        console.print(similarity_table(texts, scores))


def similarity_table(texts: list[str], scores: list[list[float]]) -> Table:
    """A table with a row and a numbered column a text; where there is little room, texts give way and numbers do not."""
    numbers = [Column(str(number), no_wrap=True) for number in range(1, len(texts) + 1)]
    table = Table(Column("", no_wrap=True), Column("text", overflow="fold"), *numbers)
    for number, (text, row) in enumerate(zip(texts, scores, strict=True), 1):
        shown = text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
        table.add_row(str(number), Text(shown), *[f"{score:.3f}" for score in row])
    return table


def narrowest_table(texts: list[str], scores: list[list[float]]) -> int:
    """Columns of a terminal below which numbers of the table would be cut."""
    longest = max(map(cell_len, ["text", *texts]))
    widths = [
        len(str(len(texts))),
        min(longest, _SHORTEST_TEXT),
        *[max(len(f"{score:.3f}") for score in row) for row in scores],
    ]
    return sum(widths) + _BESIDE * len(widths) + 1


def similarity_lines(texts: list[str], scores: list[list[float]]) -> Iterator[str]:
    """A pair a line, for which there is always room: its score, and both texts, with tabs between them."""
    lines = [" ".join(text.split()) for text in texts]
    for first, second in combinations(range(len(texts)), 2):
        yield f"{scores[first][second]:.3f}\t{lines[first]}\t{lines[second]}"
