"""The table that teaches: its parts on small things, its page from a made-up result."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from embedrt_bench.lineage.measure import SETS, sets_of, speed
from embedrt_bench.lineage.systems import SYSTEMS, inverse_document_frequencies
from embedrt_bench.lineage.tables import with_tables
from embedrt_bench.results import RESULTS
from embedrt_bench.texts.data import data_folder
from tokenizers import Tokenizer, models, pre_tokenizers

DATA = data_folder()
PAGE = Path(__file__).resolve().parents[2] / "docs" / "lineage.md"


def test_systems_have_names_of_their_own() -> None:
    assert len({system.folder for system in SYSTEMS}) == len(SYSTEMS) == 14


def test_inverse_document_frequencies() -> None:
    tokenizer = Tokenizer(models.WordLevel({"the": 0, "cat": 1, "roof": 2, "[UNK]": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    found = inverse_document_frequencies(tokenizer, ["the the cat", "the roof", "the"], 4)
    np.testing.assert_allclose(found, [math.log(4 / 4), math.log(4 / 2), math.log(4 / 2), math.log(4 / 1)])


@pytest.mark.skipif(DATA is None, reason="the STS files are not at hand: set EMBEDRT_DATA")
def test_the_sets() -> None:
    assert DATA is not None
    found = sets_of(DATA)
    assert tuple(found) == SETS
    assert {name: len(pairs.gold) for name, pairs in found.items()} == {
        "STS12": 2358, "STS13": 1500, "STS14": 3750, "STSb test": 1379, "STS-B zh test": 1361,
    }  # fmt: skip


def test_speed_takes_turns(tiny: Path) -> None:
    found = speed({"one": tiny, "two": tiny}, ["how do i reset my password ?"] * 600, rounds=2)
    assert {name: len(rates["runs"]) for name, rates in found.items()} == {"one": 2, "two": 2}
    assert min(rates["median"] for rates in found.values()) > 0


PACKAGES = dict.fromkeys(("onnxruntime", "torch", "sentence-transformers"), "1")
SCORES = dict(zip(SETS, (10.0, 20.0, 30.0, 40.004, 50.0), strict=True))
WORDS = {"scores": SCORES, "dimension": 384, "texts_per_second": {"median": 12345.6, "runs": [12345.6]}}
TRIMMED = {"texts": 3, "pieces_before": 100, "pieces": 20, "bytes_before": 4_000_000, "bytes_saved": 3_000_000}
RESULT = {
    "date": "2026-01-02",
    "machine": {"threads": 2, "cpu": "processor", "packages": PACKAGES},
    "systems": {"words": WORDS},
    "vocabulary": {"model": {"English": TRIMMED}},
}


def block(name: str, content: str) -> str:
    return f"<!-- table: {name} -->\n{content}\n<!-- end -->\n"


def test_the_page() -> None:
    page = f"before\n{block('systems', 'old')}{block('vocabulary', '')}{block('other', 'kept')}"
    made = with_tables(page, RESULT)
    row = "| mean of MiniLM's own word embeddings | 384 | 10.00 | 20.00 | 30.00 | 40.00 | 50.00 | 25.00 | 12 346 |"
    assert row in made
    assert "| model | English | 3 | 100 | 20 | 4.0 | 3.0 | 75% |" in made
    assert "old" not in made
    assert block("other", "kept") in made
    assert "Measured 2026-01-02 on 2 cores of an processor" in made
    assert with_tables(made, RESULT) == made


def test_the_document_is_what_the_result_says() -> None:
    result = json.loads((RESULTS / "lineage.json").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page, result) == page
