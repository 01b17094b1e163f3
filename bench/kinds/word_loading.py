"""What it takes to load word vectors: ``python -m embedrt_bench.kinds.word_loading`` makes a file of GloVe's size and measures.

Each row is a cold process, its start included, with the memory that it held at the most. The result goes to
bench/results/words.json, and from there into docs/words.md.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from embedrt_bench.documents import DOCS, heading, line, processor, with_blocks
from embedrt_bench.engines.cold_process import cold_run
from embedrt_bench.results import RESULTS, stamp

from embedrt.progress import progress

__all__ = ["main", "table"]

_RESULT, _PAGE = RESULTS / "words.json", DOCS / "words.md"
_THREADS = 2
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
from embedrt import SentenceEncoder
assert SentenceEncoder(sys.argv[1]).encode("word1 word399999").any()
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


def measure(place: Path) -> dict[str, Any]:
    """Every row: seconds and peak megabytes of a cold process."""
    vectors = place / "vectors.txt"
    write_vectors(vectors)
    export = ["-m", "embedrt", "export", "--quiet", "--word-vectors", str(vectors)]
    rows = {
        "read the file": _run(["-c", _READ, str(vectors)]),
        "export, fp32 rows": _run([*export, str(place / "fp32")]),
        "export, int8 rows": _run([*export, str(place / "int8"), "--table", "int8"]),
        "load and encode, fp32 rows": _run(["-c", _ENCODE, str(place / "fp32")]),
        "load and encode, int8 rows": _run(["-c", _ENCODE, str(place / "int8")]),
        "read the file, sentence-transformers": _run(["-c", _THEIRS, str(vectors)]),
    }
    return {
        **stamp(),
        "words": _WORDS,
        "width": _WIDTH,
        "file_megabytes": vectors.stat().st_size / 1e6,
        "matrix_megabytes": _MATRIX_MEGABYTES,
        "rows": rows,
    }


def _run(arguments: Sequence[str]) -> dict[str, float]:
    seconds, peak = cold_run(arguments, threads=_THREADS)
    return {"seconds": seconds, "peak_megabytes": peak}


def table(result: dict[str, Any]) -> str:
    """The rows in Markdown."""
    matrix = result["matrix_megabytes"]
    size = f"{result['words']} × {result['width']}, a file of {result['file_megabytes']:.0f} MB"
    lines = heading([size, "s", "peak, MB", "of the matrix"])
    for name, row in result["rows"].items():
        peak = row["peak_megabytes"]
        lines.append(line([name, f"{row['seconds']:.1f}", f"{peak:.0f}", f"{peak / matrix:.2f} ×"]))
    note = f"Measured {result['date']} on {result['machine']['threads']} threads of an {processor(result)}."
    return "\n".join([*lines, "", note])


def main() -> None:
    """Measure, write the result, and bring it into the page."""
    with tempfile.TemporaryDirectory() as place:
        result = measure(Path(place))
    _RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    _into_page(result)
    print(table(result))


def _into_page(result: dict[str, Any]) -> None:
    page = _PAGE.read_text(encoding="utf-8")
    _PAGE.write_text(with_blocks(page, "table", lambda _name: table(result)), encoding="utf-8")


if __name__ == "__main__":
    main()
