"""``make lineage``: make every system, measure it, and write bench/results/lineage.json and the tables of docs/lineage.md.

``python -m embedrt_bench.lineage.run PART…`` does some parts only, and keeps what the others gave before: ``derived``,
``vocabulary``, ``quality``, ``speed``.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from embedrt_bench.command import errors_told, file_to_write, part_of
from embedrt_bench.compatibility.derived import DERIVED, outcomes
from embedrt_bench.documents import DOCS
from embedrt_bench.lineage.measure import quality, speed
from embedrt_bench.lineage.systems import CORPUS, SYSTEMS, artifact_of
from embedrt_bench.lineage.tables import with_tables
from embedrt_bench.lineage.vocabulary import xlmr_sized
from embedrt_bench.models.minilm import MINILM, checkpoint_folder
from embedrt_bench.results import RESULTS, read_result, with_part, write_result
from embedrt_bench.texts.data import evenly, required_data_folder, sts_texts
from embedrt_export.source.diagnosis import first_line
from embedrt_export.source.loading import load_checkpoint
from embedrt_export.vocabulary import trim

from embedrt.artifact.folder import locate
from embedrt.errors import EmbedrtError

__all__ = ["main"]

_RESULT = RESULTS / "lineage.json"
_PAGE = DOCS / "lineage.md"
_ROUNDS, _SPEED_TEXTS = 3, 20_000
_FILES = ("vocab/bert-base-chinese.txt", *(f"sts-zh/STS-B.{split}.tsv" for split in ("train", "valid", "test")))
"""Beside the English sets: asked for before an hour is over."""


def _artifacts(result: dict[str, Any]) -> dict[str, Path]:
    """Those that can be made; the rows of the others get the reason instead of figures."""
    found = {}
    for system in SYSTEMS:
        try:
            found[system.name] = artifact_of(system)
        except EmbedrtError as failed:
            print(f"not measured: {system.name}: {failed}", file=sys.stderr)
            result.setdefault("systems", {})[system.name] = {"reason": first_line(failed)}
    return found


def _row(result: dict[str, Any], name: str) -> dict[str, Any]:
    row: dict[str, Any] = result.setdefault("systems", {}).setdefault(name, {})
    row.pop("reason", None)
    return row


def _quality(result: dict[str, Any], data: Path) -> None:
    artifacts = _artifacts(result)
    for name, scores in quality(artifacts, data).items():
        manifest = locate(artifacts[name]).manifest
        _row(result, name).update(scores=scores, dimension=manifest.serving.dimension if manifest is not None else 0)


def _speed(result: dict[str, Any], data: Path) -> None:
    texts = evenly(sts_texts(data), _SPEED_TEXTS)
    for name, found in speed(_artifacts(result), texts, rounds=_ROUNDS).items():
        _row(result, name)["texts_per_second"] = found


def _vocabulary(result: dict[str, Any], data: Path) -> None:
    result["vocabulary"] = {MINILM: {"English": _minilm(data)}, "XLM-R-sized, made up": xlmr_sized(data)}


def _minilm(data: Path) -> dict[str, Any]:
    checkpoint = load_checkpoint(str(checkpoint_folder()))
    before = sum(weight.nbytes for weight in checkpoint.transformer.parameters())
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "texts.txt"
        file.write_text("\n".join(sts_texts(data)), encoding="utf-8")
        made = trim(checkpoint, [file])
    return {
        "texts": made.texts, "pieces_before": made.pieces_before, "pieces": made.pieces, "bytes_before": before,
        "bytes_saved": made.bytes_saved,
    }  # fmt: skip


def _derived(result: dict[str, Any], _data: Path) -> None:
    result["derived"] = outcomes(DERIVED)


_PARTS: dict[str, Callable[[dict[str, Any], Path], None]] = {
    "derived": _derived,
    "vocabulary": _vocabulary,
    "quality": _quality,
    "speed": _speed,
}


@errors_told()
def main() -> None:
    """Do the parts that are named, or all; the document is written unless the result goes elsewhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", type=part_of(_PARTS), metavar="PART", help="without any: all")
    parser.add_argument("--output", type=file_to_write, default=_RESULT, help="the result file; without it %(default)s")
    asked = parser.parse_args()
    data = required_data_folder(*_FILES)
    result = read_result(asked.output) if asked.output.is_file() else {}
    result["corpus"] = CORPUS
    for part in asked.parts or _PARTS:
        _PARTS[part](result, data)
        write_result(asked.output, with_part(result, part, {}, parts=_PARTS))
        result = read_result(asked.output)
    if asked.output == _RESULT:
        _PAGE.write_text(with_tables(_PAGE.read_text(encoding="utf-8"), result), encoding="utf-8")


if __name__ == "__main__":
    main()
