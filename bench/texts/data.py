"""Where the STS files lie that benchmarks and tests read; they are not part of the project.

``$EMBEDRT_DATA``, else ``shared/data`` beside the checkout. The layout is that of the SemEval STS tasks and the STS
benchmark: ``sts-en/20YY.*.test.tsv`` (score, sentence, sentence) and ``sts-en/stsb-*.csv`` (score in column 5, sentences in
6 and 7; tabs, no quoting).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embedrt.errors import InputError

__all__ = [
    "Pairs",
    "data_folder",
    "evenly",
    "required_data_folder",
    "sts_benchmark",
    "sts_texts",
    "sts_year",
    "sts_zh_texts",
]

_BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Sentence pairs with gold scores from 0 to 5."""

    first: list[str]
    second: list[str]
    gold: list[float]


def data_folder() -> Path | None:
    """The folder, or None where there is none."""
    named = os.environ.get("EMBEDRT_DATA")
    folder = Path(named) if named else _BESIDE
    return folder if (folder / "sts-en").is_dir() else None


def required_data_folder(*files: str) -> Path:
    """The same for what cannot do without; ``files`` are asked for in it before anything is measured.

    Raises:
        InputError: there is none, or one of ``files`` is not in it.
    """
    folder = data_folder()
    if folder is None:
        raise InputError("the STS files are not at hand: set EMBEDRT_DATA to the folder that holds sts-en/")
    if missing := [file for file in files if not (folder / file).is_file()]:
        raise InputError(f"{folder} has no {' and no '.join(missing)}: set EMBEDRT_DATA to a folder that has")
    return folder


def sts_year(folder: Path, year: int) -> Pairs:
    """All scored pairs of one year's test sets together."""
    rows = [row for path in sorted((folder / "sts-en").glob(f"{year}.*.test.tsv")) for row in _rows(path)]
    return _pairs([(row[1], row[2], row[0]) for row in rows if len(row) >= 3])


def sts_benchmark(folder: Path, split: str = "test") -> Pairs:
    """The STS benchmark's train, dev or test split."""
    return _pairs([(row[5], row[6], row[4]) for row in _rows(folder / "sts-en" / f"stsb-{split}.csv") if len(row) >= 7])


def sts_texts(folder: Path) -> list[str]:
    """Every sentence of every set once, in the order of first appearance."""
    sets = [sts_year(folder, year) for year in (2012, 2013, 2014)]
    sets += [sts_benchmark(folder, split) for split in ("train", "dev", "test")]
    return list(
        dict.fromkeys(
            text for pairs in sets for couple in zip(pairs.first, pairs.second, strict=True) for text in couple
        )
    )


def sts_zh_texts(folder: Path, *splits: str) -> list[str]:
    """The sentences of these splits (``train``, ``valid``, ``test``) of the Chinese STS benchmark, in the order of the files."""
    rows = [row for split in splits for row in _rows(folder / "sts-zh" / f"STS-B.{split}.tsv")]
    return [text for row in rows for text in row[:2]]


def evenly(texts: Sequence[str], count: int) -> list[str]:
    """So many of ``texts``, all where there are fewer, from all over them: the sets differ in length and subject.

    >>> evenly("abcdefgh", 3)
    ['a', 'c', 'f']
    """
    count = min(count, len(texts))
    return [texts[at * len(texts) // count] for at in range(count)]


def _rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n") if line]


def _pairs(rows: list[tuple[str, str, str]]) -> Pairs:
    scored = [row for row in rows if row[2]]
    return Pairs([row[0] for row in scored], [row[1] for row in scored], [float(row[2]) for row in scored])
