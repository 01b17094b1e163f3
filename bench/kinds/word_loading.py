"""What it takes to load word vectors: ``python -m embedrt_bench.kinds.word_loading`` makes a file of GloVe's size and measures.

Each row is a cold process, its start included, with the memory that it held at the most; rows take turns, and medians count. The
result goes to bench/results/words.json, and from there into docs/words.md.
"""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from embedrt_bench.command import errors_told, measuring
from embedrt_bench.documents import DOCS, heading, line, processor, with_blocks
from embedrt_bench.engines.cold_process import cold_run
from embedrt_bench.results import RESULTS, read_result, write_result

from embedrt.machine.threads import available_threads
from embedrt.progress import progress

__all__ = ["PAGE", "main", "table", "with_table"]

_RESULT, PAGE = RESULTS / "words.json", DOCS / "words.md"
_THREADS, _ROUNDS = 2, 3
_WORDS, _WIDTH, _BLOCK = 400_000, 300, 2_000
_MATRIX_MEGABYTES = _WORDS * _WIDTH * 4 / 1e6
_READ = """
import sys
from pathlib import Path
from embedrt_export.words.reading import read_word_vectors
assert read_word_vectors(Path(sys.argv[1]), quiet=True).rows.shape == (400001, 300)
"""
_THEIRS = """
import sys
from sentence_transformers.sentence_transformer.modules import WordEmbeddings
assert WordEmbeddings.from_text_file(sys.argv[1]).emb_layer.num_embeddings == 400001
"""
_ENCODE = """
import sys
import numpy as np
from embedrt import SentenceEncoder
vector = SentenceEncoder(sys.argv[1]).encode("word1 word399999")
assert vector.any() and np.isfinite(vector).all()
"""


def write_vectors(path: Path) -> None:
    """400 000 words of 300 random numbers with five digits, as GloVe writes them: about a gigabyte."""
    random = np.random.default_rng(0)
    with (
        path.open("w", encoding="utf-8") as file,
        progress(_WORDS, shown=True, doing="Writing", unit="word") as advance,
    ):
        for at in range(0, _WORDS, _BLOCK):
            rows = random.normal(0, 0.4, (_BLOCK, _WIDTH))
            lines = (f"word{at + place} {' '.join(f'{x:.5g}' for x in row)}\n" for place, row in enumerate(rows))
            file.writelines(lines)
            advance(_BLOCK)


def measure(place: Path, *, rounds: int) -> dict[str, Any]:
    """Every row: seconds and peak megabytes of a cold process, the medians of ``rounds`` and all of them."""
    vectors, threads = place / "vectors.txt", min(_THREADS, available_threads())
    write_vectors(vectors)
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        for name, arguments in _commands(vectors, place / str(number)).items():
            found.setdefault(name, []).append(cold_run(arguments, threads=threads))
    return {
        "words": _WORDS,
        "width": _WIDTH,
        "file_megabytes": vectors.stat().st_size / 1e6,
        "matrix_megabytes": _MATRIX_MEGABYTES,
        "threads": threads,
        "rounds": rounds,
        "rows": {name: _row(runs) for name, runs in found.items()},
    }


def _commands(vectors: Path, out: Path) -> dict[str, Sequence[str]]:
    """What this Python is started with for each row, in the order of a round; artifacts go to the folder ``out``."""
    export = ["-m", "embedrt", "export", "--quiet", "--word-vectors", str(vectors)]
    return {
        "read the file": ["-c", _READ, str(vectors)],
        "export, fp32 rows": [*export, str(out / "fp32")],
        "export, int8 rows": [*export, str(out / "int8"), "--table", "int8"],
        "load and encode, fp32 rows": ["-c", _ENCODE, str(out / "fp32")],
        "load and encode, int8 rows": ["-c", _ENCODE, str(out / "int8")],
        "read the file, sentence-transformers": ["-c", _THEIRS, str(vectors)],
    }


def _row(runs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    seconds, peaks = zip(*runs)
    medians = {"seconds": statistics.median(seconds), "peak_megabytes": statistics.median(peaks)}
    return {**medians, "runs": {"seconds": list(seconds), "peak_megabytes": list(peaks)}}


def table(result: dict[str, Any]) -> str:
    """The rows in Markdown."""
    matrix = result["matrix_megabytes"]
    size = f"{result['words']} × {result['width']}, a file of {result['file_megabytes']:.0f} MB"
    lines = heading([size, "s", "peak, MB", "of the matrix"])
    for name, row in result["rows"].items():
        peak = row["peak_megabytes"]
        lines.append(line([name, f"{row['seconds']:.1f}", f"{peak:.0f}", f"{peak / matrix:.2f} ×"]))
    threads, rounds = result.get("threads", result["machine"]["threads"]), result.get("rounds", 1)
    how = f"{rounds} rounds in turns, medians" if rounds > 1 else "once each"
    note = f"Measured {result['date']} on {threads} threads of an {processor(result)}, {how}."
    return "\n".join([*lines, "", note])


@errors_told()
def main() -> None:
    """Measure, write the result, and bring it into the page unless it goes elsewhere."""
    asked = measuring(__doc__, output=_RESULT, rounds=_ROUNDS).parse_args()
    with tempfile.TemporaryDirectory() as place:
        write_result(asked.output, measure(Path(place), rounds=asked.rounds))
    if asked.output == _RESULT:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(table(read_result(asked.output)))


def with_table(text: str, result: Path = _RESULT) -> str:
    """``text`` with its table made anew from the result file."""
    made = table(read_result(result))
    return with_blocks(text, "table", lambda _name: made)


if __name__ == "__main__":
    main()
