"""``make lineage``: make every system, measure it, and write bench/results/lineage.json and the tables of docs/lineage.md.

``python -m embedrt_bench.lineage.run PART…`` does some parts only, and keeps what the others gave before: ``derived``,
``vocabulary``, ``quality``, ``speed``.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from embedrt_bench.compatibility.derived import DERIVED, outcomes
from embedrt_bench.documents import DOCS
from embedrt_bench.lineage.measure import quality, speed
from embedrt_bench.lineage.systems import CORPUS, SYSTEMS, artifact_of
from embedrt_bench.lineage.tables import with_tables
from embedrt_bench.lineage.vocabulary import xlmr_sized
from embedrt_bench.models.minilm import MINILM, checkpoint_folder
from embedrt_bench.results import RESULTS, read_result, write_result
from embedrt_bench.texts.data import data_folder, sts_texts
from embedrt_export.source.loading import load_checkpoint
from embedrt_export.vocabulary import trim

from embedrt.artifact.folder import locate
from embedrt.errors import InputError

__all__ = ["main"]

_RESULT = RESULTS / "lineage.json"
_PAGE = DOCS / "lineage.md"
_ROUNDS, _SPEED_TEXTS = 3, 20_000


def _artifacts() -> dict[str, Path]:
    return {system.name: artifact_of(system) for system in SYSTEMS}


def _row(result: dict[str, Any], name: str) -> dict[str, Any]:
    row: dict[str, Any] = result.setdefault("systems", {}).setdefault(name, {})
    return row


def _quality(result: dict[str, Any], data: Path) -> None:
    artifacts = _artifacts()
    for name, scores in quality(artifacts, data).items():
        manifest = locate(artifacts[name]).manifest
        _row(result, name).update(scores=scores, dimension=manifest.serving.dimension if manifest is not None else 0)


def _speed(result: dict[str, Any], data: Path) -> None:
    texts = sts_texts(data)[:_SPEED_TEXTS]
    for name, found in speed(_artifacts(), texts, rounds=_ROUNDS).items():
        _row(result, name)["texts_per_second"] = found


def _vocabulary(result: dict[str, Any], data: Path) -> None:
    result["vocabulary"] = {MINILM: {"English": _minilm(data)}, "XLM-R-sized, made up": xlmr_sized(data)}


def _minilm(data: Path) -> dict[str, Any]:
    path = checkpoint_folder()
    file = _RESULT.parent / ".texts.txt"
    file.write_text("\n".join(sts_texts(data)), encoding="utf-8")
    try:
        checkpoint = load_checkpoint(str(path))
        before = sum(weight.nbytes for weight in checkpoint.transformer.parameters())
        made = trim(checkpoint, [file])
    finally:
        file.unlink()
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


def main() -> None:
    """Do the parts that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*_PARTS, []], metavar="PART")
    parts = parser.parse_args().parts or list(_PARTS)
    data = data_folder()
    if data is None:
        raise InputError("the STS files are not at hand: set EMBEDRT_DATA to their folder")
    result = read_result(_RESULT) if _RESULT.is_file() else {}
    result["corpus"] = CORPUS
    for part in parts:
        _PARTS[part](result, data)
        write_result(_RESULT, {key: value for key, value in result.items() if key not in ("date", "machine")})
    _PAGE.write_text(with_tables(_PAGE.read_text(encoding="utf-8"), read_result(_RESULT)), encoding="utf-8")


if __name__ == "__main__":
    main()
