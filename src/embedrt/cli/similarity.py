"""``embedrt similarity MODEL TEXT TEXT …``: every text against every text."""

import json as json_module
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from embedrt.cli.options import Device, Json, Model, Prompt, PromptName, Revision, Variant
from embedrt.encoder import SentenceEncoder

__all__ = ["similarity", "similarity_table"]

_LONGEST_TEXT = 60


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
    """Compare every text with every text."""
    if len(texts) < 2:
        raise typer.BadParameter("one text has nothing to be compared with: pass two or more", param_hint="TEXT")
    with SentenceEncoder(model, variant=variant, device=device, revision=revision) as encoder:
        vectors = encoder.encode(texts, prompt_name=prompt_name, prompt=prompt)
        scores = encoder.similarity(vectors, vectors).tolist()
    if json:
        typer.echo(json_module.dumps({"texts": texts, "similarity": scores}, ensure_ascii=False))
        return
    Console(highlight=False).print(similarity_table(texts, scores))


def similarity_table(texts: list[str], scores: list[list[float]]) -> Table:
    """A table with a row and a numbered column a text."""
    table = Table("", "text", *[str(number) for number in range(1, len(texts) + 1)])
    for number, (text, row) in enumerate(zip(texts, scores, strict=True), 1):
        shown = text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
        table.add_row(str(number), Text(shown), *[f"{score:.3f}" for score in row])
    return table
