"""``make compatibility``: export every row, compare it, quantize it, and write what came of it.

That is bench/results/compatibility.json, after each table, so that an interrupted run keeps those that were finished, and from
it docs/compatibility.md. With names of rows on the command line it prints these alone, and writes nothing unless ``--output``
is given.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import embedrt_export
from embedrt_bench.command import errors_told, file_to_write
from embedrt_bench.compatibility.architectures import ARCHITECTURES, save_checkpoint
from embedrt_bench.compatibility.clip import save_clip
from embedrt_bench.compatibility.cross_encoders import CROSS_ENCODERS, save_cross_encoder
from embedrt_bench.compatibility.families import FAMILIES, save_family
from embedrt_bench.compatibility.multi_vector import LATE
from embedrt_bench.compatibility.sparse import SPARSE
from embedrt_bench.compatibility.words import WORD_MODELS
from embedrt_bench.documents import DOCS, heading, line, processor, said_of_parts, versions, with_blocks
from embedrt_bench.results import RESULTS, read_result, with_part, write_result
from embedrt_export.quantization import Precision, QuantizeOptions, quantize
from embedrt_export.source.diagnosis import first_line
from embedrt_export.source.loading import POOLING_MODES

from embedrt.errors import EmbedrtError, InputError
from embedrt.progress import progress

__all__ = ["TABLES", "Outcome", "Row", "main", "outcome_of", "with_tables", "written"]

_PAGE, _RESULT = DOCS / "compatibility.md", RESULTS / "compatibility.json"
_VARIANTS: tuple[Precision, ...] = ("int8", "int8-static", "fp16")
_LONGEST = 160  # characters of a message in a cell
_POOLED = ("bert", "qwen3")
"""Architectures that all pooling modes are tried on: one padded on each side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is tried, and what stands before the results."""

    cells: tuple[str, ...]
    save: Callable[[Path], Path]
    """Makes the checkpoint in a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of it."""

    attention: str = ""
    """``operator``, ``eager`` or ``none``: one Attention operator a layer, matrix products, or no layers of attention."""
    difference: float | None = None
    """Largest |Δ| to sentence-transformers; None where it was refused."""
    cosines: dict[str, float] = field(default_factory=dict)
    """Mean cosine to float32 of each variant."""
    problem: str = ""
    """Why it was refused, or why variants are missing that have no reason of their own."""
    problems: dict[str, str] = field(default_factory=dict)
    """Why a variant is missing, of each that is."""


def _architectures() -> list[Row]:
    text_encoders = [
        Row(
            cells=(name, made.tokenizer, f"{made.pooling}, {made.padding_side}", made.families),
            save=partial(save_checkpoint, name),
        )
        for name, made in ARCHITECTURES.items()
    ]
    return [*text_encoders, Row(cells=("clip text", "byte-level bpe", "eos, right", "clip-ViT-B-32"), save=save_clip)]


def _poolings() -> list[Row]:
    return [
        Row(cells=(mode, name, ARCHITECTURES[name].padding_side), save=partial(save_checkpoint, name, pooling=mode))
        for mode in POOLING_MODES
        for name in _POOLED
    ]


def _families() -> list[Row]:
    return [
        Row(cells=(name, family.architecture, family.note), save=partial(save_family, name))
        for name, family in FAMILIES.items()
    ]


def _late_interaction() -> list[Row]:
    return [
        Row(cells=(name, late.architecture, late.layout, late.known), save=late.save) for name, late in LATE.items()
    ]


def _words() -> list[Row]:
    return [Row(cells=(name, model.words, model.known), save=model.save) for name, model in WORD_MODELS.items()]


def _sparse() -> list[Row]:
    return [
        Row(cells=(name, model.architecture, model.pooling, model.known), save=model.save)
        for name, model in SPARSE.items()
    ]


def _cross_encoders() -> list[Row]:
    return [
        Row(cells=(name, look.architecture, look.note), save=partial(save_cross_encoder, name))
        for name, look in CROSS_ENCODERS.items()
    ]


TABLES: dict[str, tuple[tuple[str, ...], Callable[[], list[Row]]]] = {
    "architectures": (("architecture", "tokenizer", "pooling, padding", "known checkpoints"), _architectures),
    "poolings": (("pooling", "on", "padding"), _poolings),
    "families": (("family", "architecture", "what it is"), _families),
    "words": (("shape", "words", "known models"), _words),
    "cross-encoders": (("family", "architecture", "what it is"), _cross_encoders),
    "sparse": (("kind", "architecture", "pooling", "known checkpoints"), _sparse),
    "late": (("kind", "architecture", "layout", "known checkpoints"), _late_interaction),
}
"""The tables of the page: the heads of the cells before the results, and the rows."""


def outcome_of(row: Row, place: Path) -> Outcome:
    """Export the row's checkpoint, quantize it, and tell; an error that nobody foresaw is what there is to tell, too."""
    try:
        checkpoint = row.save(place / "checkpoint")
        fp32 = embedrt_export.export(str(checkpoint), place / "out", quiet=True).variants["fp32"]
    except Exception as failed:  # noqa: BLE001  the other rows are exported all the same
        return Outcome(problem=_told(failed, place))
    cosines: dict[str, float] = {}
    problems: dict[str, str] = {}
    for variant in _VARIANTS:
        try:
            manifest = quantize(place / "out", variant, options=QuantizeOptions(allow_below_gate=True), quiet=True)
            cosines[variant] = manifest.variants[variant].parity.cosine_mean
        except Exception as failed:  # noqa: BLE001
            problems[variant] = _told(failed, place)
    difference = fp32.parity.max_abs_difference
    return Outcome(attention=fp32.attention, difference=difference, cosines=cosines, problems=problems)


def _told(failed: Exception, place: Path) -> str:
    """The beginning of a message, without the folder that is gone by then; of one that is not ours, its class too."""
    kind = "" if isinstance(failed, EmbedrtError) else f"{type(failed).__name__}: "
    said = f"{kind}{first_line(failed).replace(f'{place}/', '')}"
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


def written(table: str, rows: Sequence[tuple[Row, Outcome]], page: str, *, note: str = "") -> str:
    """``page`` with one of its tables made anew, and ``note`` below it."""
    below = ["", note] if note else []
    content = "\n".join([*lines(table, rows), *below])
    return with_blocks(page, "table", lambda name: content if name == table else None)


def with_tables(page: str, result: dict[str, Any]) -> str:
    """``page`` with every table made anew that ``result`` has; the others stay."""
    for table, entries in result["tables"].items():
        rows = [(Row(cells=tuple(cells), save=Path), Outcome(**found)) for cells, found in entries]
        page = written(table, rows, page, note=said_of_parts(result, [table], _where))
    return page


def _where(result: dict[str, Any]) -> str:
    transformers = result["machine"]["packages"]["transformers"]
    return f"Exported {result['date']} on an {processor(result)}, {versions(result)}, transformers {transformers}."


def lines(table: str, rows: Sequence[tuple[Row, Outcome]]) -> list[str]:
    """The table in Markdown."""
    heads = (*TABLES[table][0], "attention", "max \\|Δ\\|", *(f"{name}: cosine" for name in _VARIANTS))
    return [*heading(heads, words=len(heads)), *(line(_cells(row, outcome)) for row, outcome in rows)]


def _cells(row: Row, outcome: Outcome) -> tuple[str, ...]:
    form = {"operator": "one operator", "eager": "matrix products", "none": "none"}.get(outcome.attention, "")
    problem = outcome.problem.replace("|", "\\|")
    error = f"{outcome.difference:.1e}" if outcome.difference is not None else f"refused: {problem}"
    missing = problem if outcome.difference is not None else ""
    variants = (
        f"{outcome.cosines[name]:.4f}"
        if name in outcome.cosines
        else outcome.problems.get(name, missing).replace("|", "\\|")
        for name in _VARIANTS
    )
    return (*row.cells, form, error, *variants)


@errors_told()
def main() -> None:
    """Export all, or those whose first cell is named on the command line, and write or print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="first cells of rows of docs/compatibility.md; without any: all")
    parser.add_argument("--output", type=file_to_write, help=f"the result file; without names {_RESULT}")
    asked = parser.parse_args()
    chosen = _chosen(asked.names)
    output: Path | None = asked.output or (None if asked.names else _RESULT)
    if asked.names and output == _RESULT:
        raise InputError(f"{output} holds every row: type another --output for {', '.join(asked.names)} alone")
    result = read_result(output) if output is not None and output.is_file() and not asked.names else {"tables": {}}
    for table, rows in chosen.items():
        found = _tried(table, rows)
        if asked.names:
            print("\n".join(lines(table, found)))
        if output is not None:
            entries = [[list(row.cells), asdict(outcome)] for row, outcome in found]
            tables = {"tables": {**result["tables"], table: entries}}
            write_result(output, with_part(result, table, tables, parts=TABLES))
            result = read_result(output)
    if output == _RESULT:
        _PAGE.write_text(with_tables(_PAGE.read_text(encoding="utf-8"), result), encoding="utf-8")


def _chosen(names: Sequence[str]) -> dict[str, list[Row]]:
    """The rows of each table, or those with these names; an InputError names one that no row has."""
    every = {table: make() for table, (_, make) in TABLES.items()}
    known = {row.cells[0] for rows in every.values() for row in rows}
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"there is no row {unknown[0]!r}: type the first cell of one of docs/compatibility.md")
    found = {table: [row for row in rows if not names or row.cells[0] in names] for table, rows in every.items()}
    return {table: rows for table, rows in found.items() if rows}


def _tried(table: str, rows: Sequence[Row]) -> list[tuple[Row, Outcome]]:
    found = []
    with progress(len(rows), shown=True, doing=f"Exporting {table}", unit="model") as advance:
        for row in rows:
            with tempfile.TemporaryDirectory() as place:
                outcome = outcome_of(row, Path(place))
            if outcome.problem:
                print(f"refused: {row.cells[0]}: {outcome.problem}", file=sys.stderr)
            found.append((row, outcome))
            advance(1)
    return found


if __name__ == "__main__":
    main()
