"""``embedrt pairs MODEL INPUT``: the most similar pairs among the texts of a file."""

import json as json_module
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.table import Column, Table
from rich.text import Text

from embedrt.cli.options import (
    Device,
    Json,
    Model,
    Prompt,
    PromptName,
    Quiet,
    Revision,
    Source,
    TextField,
    Threads,
    Variant,
)
from embedrt.cli.tables import table_console
from embedrt.corpus.reading import name_of, read_texts
from embedrt.corpus.writing import replacing, require_stdout, require_writable
from embedrt.encoder import SentenceEncoder
from embedrt.errors import GraphError, InputError
from embedrt.machine.memory import available_memory
from embedrt.pairs import Pairs, most_similar_pairs, pair_count
from embedrt.progress import progress
from embedrt.spill import Need, spill_folder, spill_notice, spilled_vectors, spills

__all__ = ["pairs", "pairs_table"]

_SHORTEST_TEXT = 20  # columns, however narrow the terminal
_BESIDE = 17  # columns that scores, borders and spaces take
_NUMBER = "number"
_ROWS = 8192  # vectors that are looked through at a time


def pairs(
    model: Model,
    source: Source,
    top: Annotated[int, typer.Option(min=1, help="Pairs to find.")] = 100,
    min_score: Annotated[float | None, typer.Option(min=-1, max=1, help="The smallest cosine to show.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A .jsonl file to write instead.")] = None,
    text_field: TextField = "text",
    spill: Annotated[
        Path | None, typer.Option(help="Folder for a temporary file, where memory cannot hold the vectors.")
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
    """Find the pairs of texts with the highest cosine, exactly, among all pairs.

    Equal scores come in the order of the texts, which are numbered from 1:
    in a text file, the number of a text is that of its line.

    The time to compare grows with the square of their number: 10 000 texts
    take a second or less, 100 000 a minute or two, 1 000 000 hours. The
    progress bar estimates it from the first blocks.

    Vectors that take more than a third of the free memory are kept in a
    temporary file. Where the disk is too small for it as well, nothing is
    encoded, and a message says what is needed and what there is.
    """
    _require_jsonl(output)
    if json and output is None:
        require_stdout()
    folder = spill_folder(spill)
    texts = read_texts(source, text_field=text_field)
    if len(texts) < 2:
        raise InputError(f"{name_of(source)}: 2 texts or more were expected, {len(texts)} came: pass a larger file")
    shown = not quiet and sys.stderr.isatty()
    count = pair_count(len(texts))
    options = {"prompt_name": prompt_name, "prompt": prompt, "normalize_embeddings": True}
    with SentenceEncoder(model, variant=variant, device=device, threads=threads, revision=revision) as encoder:
        need = Need(texts=len(texts), dimension=encoder.get_sentence_embedding_dimension(), pairs=min(top, count))
        with _encoded(encoder, texts, options, need=need, folder=folder, shown=shown, quiet=quiet) as vectors:
            _require_numbers(vectors)
            with progress(count, shown=shown, doing="Comparing", unit="pair") as advance:
                found = most_similar_pairs(vectors, top=top, min_score=min_score, advance=advance)
    if output is not None:
        with replacing(output) as file:
            _write_lines(file, found, texts)
        _tell(f"{output}: {len(found.scores)} pairs", quiet=quiet)
    elif json:
        _write_lines(require_stdout(), found, texts)
    else:
        console = table_console()
        console.print(pairs_table(found, texts, width=console.width))


@contextmanager
def _encoded(
    encoder: SentenceEncoder,
    texts: list[str],
    options: dict[str, Any],
    *,
    need: Need,
    folder: Path,
    shown: bool,
    quiet: bool,
) -> Iterator[npt.NDArray[np.float32]]:
    """Vectors of ``texts``, (n, dim), in memory or in a file; which, is decided before anything is encoded."""
    if not spills(need, folder, memory=available_memory()):
        yield encoder.encode(texts, show_progress_bar=shown, **options)
        return
    _tell(spill_notice(need, folder), quiet=quiet)
    with spilled_vectors(need, folder) as vectors:
        with progress(len(texts), shown=shown) as advance:
            for row, vector in enumerate(encoder.encode_iter(texts, **options)):
                vectors[row] = vector
                advance(1)
        yield vectors


def _require_numbers(vectors: npt.NDArray[np.float32]) -> None:
    for at in range(0, len(vectors), _ROWS):
        bad = np.flatnonzero(~np.isfinite(vectors[at : at + _ROWS]).all(axis=1))
        if len(bad):
            raise GraphError(
                f"the vector of text {at + bad[0] + 1} has NaN or infinity in it, so that it compares with nothing: "
                "try another variant, and type `embedrt verify` for this one"
            )


def _require_jsonl(output: Path | None) -> None:
    if output is None:
        return
    if output.suffix.lower() != ".jsonl":
        raise InputError(f"{output} ends in {output.suffix or 'nothing'!r}, expected .jsonl")
    require_writable(output)


def _tell(sentence: str, *, quiet: bool) -> None:
    if not quiet:
        typer.echo(sentence, err=True)


def _write_lines(file: IO[bytes], found: Pairs, texts: list[str]) -> None:
    """A JSON object a pair: score, numbers of the texts from 1, texts."""
    for score, first, second in zip(*(column.tolist() for column in found), strict=True):
        pair = {"score": score, "first": first + 1, "second": second + 1, "texts": [texts[first], texts[second]]}
        file.write(json_module.dumps(pair, ensure_ascii=False).encode() + b"\n")


def pairs_table(found: Pairs, texts: list[str], *, width: int) -> Table:
    """A row a pair, of two lines: score, number and text of the first; below them, number and text of the second."""
    room = max(_SHORTEST_TEXT, width - _BESIDE - max(len(_NUMBER), len(str(len(texts)))))
    table = Table(Column("score", no_wrap=True), Column(_NUMBER, justify="right", no_wrap=True), "text")
    for score, first, second in zip(*(column.tolist() for column in found), strict=True):
        shown = Text("\n").join(_shortened(texts[index], room) for index in (first, second))
        table.add_row(f"{score:.4f}", f"{first + 1}\n{second + 1}", shown)
    return table


def _shortened(text: str, room: int) -> Text:
    """On one line of ``room`` columns; brackets and colons are no markup."""
    line = Text(" ".join(text.split()))
    line.truncate(room, overflow="ellipsis")
    return line
