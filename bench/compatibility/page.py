"""``make compatibility``: export every architecture, compare it, and write docs/compatibility.md from what came of it."""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import embedrt_export
from embedrt_bench.compatibility.architectures import ARCHITECTURES, save_checkpoint
from embedrt_export.quantization import QuantizeOptions, quantize

from embedrt.errors import EmbedrtError
from embedrt.manifest import Manifest
from embedrt.progress import progress

__all__ = ["Row", "main", "row_of", "written"]

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
_TABLE = ("<!-- table: architectures -->", "<!-- end -->")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of one architecture."""

    name: str
    attention: str = ""
    """``operator`` or ``eager``: one Attention operator a layer, or matrix products."""
    difference: float | None = None
    """Largest |Δ| to sentence-transformers; None where it was refused."""
    int8_cosine: float | None = None
    """Mean cosine of the int8 variant to float32."""
    problem: str = ""


def row_of(name: str, place: Path) -> Row:
    """Export the architecture's checkpoint, quantize it, and tell."""
    checkpoint = save_checkpoint(name, place / "checkpoint")
    try:
        fp32 = embedrt_export.export(str(checkpoint), place / "out", quiet=True).variants["fp32"]
    except EmbedrtError as refused:
        return Row(name=name, problem=_first_words(refused))
    row = Row(name=name, attention=fp32.attention, difference=fp32.parity.max_abs_difference)
    try:
        manifest: Manifest = quantize(place / "out", "int8", options=QuantizeOptions(allow_below_gate=True), quiet=True)
    except EmbedrtError as refused:
        return Row(name=name, attention=row.attention, difference=row.difference, problem=_first_words(refused))
    cosine = manifest.variants["int8"].parity.cosine_mean
    return Row(name=name, attention=row.attention, difference=row.difference, int8_cosine=cosine)


def _first_words(refused: EmbedrtError) -> str:
    """The beginning of a message, fit for a cell."""
    return str(refused).splitlines()[0].replace("|", "\\|")[:160]


def written(rows: list[Row], page: str) -> str:
    """``page`` with its table made anew."""
    before, _, rest = page.partition(_TABLE[0])
    _, _, after = rest.partition(_TABLE[1])
    return before + "\n".join([_TABLE[0], *_lines(rows), _TABLE[1]]) + after


def _lines(rows: list[Row]) -> list[str]:
    head = "| architecture | tokenizer | pooling, padding | attention | max \\|Δ\\| | int8: cosine to fp32 | known checkpoints |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for row in rows:
        made = ARCHITECTURES[row.name]
        error = f"{row.difference:.1e}" if row.difference is not None else f"refused: {row.problem}"
        form = {"operator": "one operator", "eager": "matrix products"}.get(row.attention, "")
        int8 = f"{row.int8_cosine:.4f}" if row.int8_cosine is not None else row.problem
        cells = (row.name, made.tokenizer, f"{made.pooling}, {made.padding_side}", form, error, int8, made.families)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Export all, or those named on the command line, and write the page."""
    names = sys.argv[1:] or list(ARCHITECTURES)
    rows = []
    with progress(len(names), shown=True, doing="Exporting", unit="model") as advance:
        for name in names:
            with tempfile.TemporaryDirectory() as place:
                rows.append(row_of(name, Path(place)))
            advance(1)
    if sys.argv[1:]:
        print("\n".join(_lines(rows)))
    else:
        _PAGE.write_text(written(rows, _PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
