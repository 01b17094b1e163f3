"""``make compatibility``: export every row, compare it, quantize it, and write docs/compatibility.md from what came of it."""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import embedrt_export
from embedrt_bench.compatibility.architectures import ARCHITECTURES, save_checkpoint
from embedrt_bench.compatibility.clip import save_clip
from embedrt_bench.compatibility.cross_encoders import CROSS_ENCODERS, save_cross_encoder
from embedrt_bench.compatibility.families import FAMILIES, save_family
from embedrt_bench.compatibility.multi_vector import LATE
from embedrt_bench.compatibility.sparse import SPARSE
from embedrt_bench.compatibility.words import WORD_MODELS
from embedrt_bench.documents import DOCS
from embedrt_export.quantization import Precision, QuantizeOptions, quantize
from embedrt_export.source.loading import POOLING_MODES

from embedrt.errors import EmbedrtError
from embedrt.progress import progress

__all__ = ["TABLES", "Outcome", "Row", "main", "outcome_of", "written"]

_PAGE = DOCS / "compatibility.md"
_VARIANTS: tuple[Precision, ...] = ("int8", "int8-static", "fp16")
_PADDED = {"bert": "right", "qwen3": "left"}
"""Architectures that all pooling modes are tried on, and their padding side."""


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
        Row(cells=(mode, name, side), save=partial(save_checkpoint, name, pooling=mode))
        for mode in POOLING_MODES
        for name, side in _PADDED.items()
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
    """Export the row's checkpoint, quantize it, and tell."""
    checkpoint = row.save(place / "checkpoint")
    try:
        fp32 = embedrt_export.export(str(checkpoint), place / "out", quiet=True).variants["fp32"]
    except EmbedrtError as refused:
        return Outcome(problem=_first_words(refused))
    cosines: dict[str, float] = {}
    problem = ""
    for variant in _VARIANTS:
        try:
            manifest = quantize(place / "out", variant, options=QuantizeOptions(allow_below_gate=True), quiet=True)
            cosines[variant] = manifest.variants[variant].parity.cosine_mean
        except EmbedrtError as refused:
            problem = _first_words(refused)
    difference = fp32.parity.max_abs_difference
    return Outcome(attention=fp32.attention, difference=difference, cosines=cosines, problem=problem)


def _first_words(refused: EmbedrtError) -> str:
    """The beginning of a message, fit for a cell."""
    return str(refused).splitlines()[0].replace("|", "\\|")[:160]


def written(table: str, rows: list[tuple[Row, Outcome]], page: str) -> str:
    """``page`` with one of its tables made anew."""
    begin, end = f"<!-- table: {table} -->", "<!-- end -->"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return before + "\n".join([begin, *lines(table, rows), end]) + after


def lines(table: str, rows: list[tuple[Row, Outcome]]) -> list[str]:
    """The table in Markdown."""
    heads = (*TABLES[table][0], "attention", "max \\|Δ\\|", *(f"{name}: cosine" for name in _VARIANTS))
    found = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return [*found, *(f"| {' | '.join(_cells(row, outcome))} |" for row, outcome in rows)]


def _cells(row: Row, outcome: Outcome) -> tuple[str, ...]:
    form = {"operator": "one operator", "eager": "matrix products", "none": "none"}.get(outcome.attention, "")
    error = f"{outcome.difference:.1e}" if outcome.difference is not None else f"refused: {outcome.problem}"
    missing = outcome.problem if outcome.difference is not None else ""
    variants = (f"{outcome.cosines[name]:.4f}" if name in outcome.cosines else missing for name in _VARIANTS)
    return (*row.cells, form, error, *variants)


def main() -> None:
    """Export all, or those whose first cell is named on the command line, and write the page or print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names
    page = _PAGE.read_text(encoding="utf-8")
    for table, (_, make) in TABLES.items():
        rows = [row for row in make() if not names or row.cells[0] in names]
        found = []
        with progress(len(rows), shown=True, doing=f"Exporting {table}", unit="model") as advance:
            for row in rows:
                with tempfile.TemporaryDirectory() as place:
                    found.append((row, outcome_of(row, Path(place))))
                advance(1)
        if names:
            print("\n".join(lines(table, found)))
        else:
            page = written(table, found, page)
    if not names:
        _PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
