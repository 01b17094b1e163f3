"""The table that teaches: its parts on small things, its page from a made-up result."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedrt_bench.compatibility.derived import Derived, outcomes
from embedrt_bench.lineage import measure, run
from embedrt_bench.lineage.measure import SETS, sets_of, speed
from embedrt_bench.lineage.systems import SYSTEMS, System, inverse_document_frequencies
from embedrt_bench.lineage.tables import with_tables
from embedrt_bench.results import RESULTS
from embedrt_bench.texts.data import data_folder
from tokenizers import Tokenizer, models, pre_tokenizers

from embedrt import SentenceEncoder
from embedrt.errors import InputError

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


def test_rows_that_are_missing_are_told() -> None:
    rows = {"words": WORDS, "static": {"reason": "no vocabulary"}}
    made = with_tables(block("systems", ""), {**RESULT, "systems": rows})
    missing = next(line for line in made.splitlines() if line.startswith("Not measured: "))
    assert "MiniLM distilled into 256 numbers a token (no vocabulary); " in missing
    assert missing.count(";") == len(SYSTEMS) - 2
    derived = {
        "a": {"note": "--static", "problem": "no such model"},
        "b": {
            "note": "--whiten",
            "difference": 1e-7,
            "int8": None,
            "int8_problem": "nothing to do",
            "told": "whitened",
        },
        "c": {"note": "older results", "difference": 1e-7, "int8": None, "told": ""},
    }
    made = with_tables(block("derived", ""), {**RESULT, "derived": derived})
    assert "| a | --static | refused: no such model |  |  |" in made
    assert "| b | --whiten | 1.0e-07 | nothing to do | whitened |" in made
    assert "| c | older results | 1.0e-07 |  |  |" in made


def test_parts_that_were_measured_apart_say_so() -> None:
    apart = {"date": "2026-03-04", "machine": {**RESULT["machine"], "cpu": "another"}}  # type: ignore[dict-item]
    page = block("systems", "") + block("vocabulary", "")
    made = with_tables(page, {**RESULT, "measured": {"speed": apart}})
    [systems, vocabulary] = [line for line in made.splitlines() if "easured 2026" in line]
    assert systems.startswith("Quality: Measured 2026-01-02 on 2 cores of an processor, ")
    assert "Speed: Measured 2026-03-04 on 2 cores of an another, " in systems
    assert vocabulary.startswith("Measured 2026-01-02 on 2 cores of an processor, ")
    made = with_tables(page, {**RESULT, "measured": {"speed": apart, "quality": apart}})
    assert "Quality" not in made
    assert "Measured 2026-03-04" in made


@pytest.fixture
def made_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``make lineage`` with parts that measure nothing, into a file of its own; gives what is in it then."""
    output = tmp_path / "lineage.json"

    def failing(result: dict[str, Any], _data: Path) -> None:
        raise InputError("the disk is full")

    def part(name: str) -> Callable[[dict[str, Any], Path], None]:
        return lambda result, _data: result.update({name: "made"})

    def make(*words: str, day: str, fail: str = "") -> dict[str, Any]:
        parts = {name: part(name) for name in ("derived", "vocabulary")}
        monkeypatch.setattr(run, "_PARTS", {**parts, **({fail: failing} if fail else {})})
        monkeypatch.setattr(run, "required_data_folder", lambda *_files: tmp_path)
        monkeypatch.setattr("embedrt_bench.results.stamp", lambda: {"date": day, "machine": {}})
        monkeypatch.setattr("sys.argv", ["lineage", *words, "--output", str(output)])
        if fail:
            with pytest.raises(SystemExit, match="the disk is full"):
                run.main()
        else:
            run.main()
        found: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
        return found

    return make


def _dates(result: dict[str, Any]) -> dict[str, str]:
    return {"whole": result["date"]} | {part: when["date"] for part, when in result["measured"].items()}


def test_a_part_alone_leaves_the_others_their_day(made_parts: Callable[..., dict[str, Any]]) -> None:
    first = made_parts(day="monday")
    assert _dates(first) == {"whole": "monday", "derived": "monday", "vocabulary": "monday"}
    again = made_parts("derived", day="friday")
    assert _dates(again) == {"whole": "friday", "derived": "friday", "vocabulary": "monday"}
    assert again["vocabulary"] == "made"


def test_files_without_a_day_a_part_keep_theirs(made_parts: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    old = {"date": "sunday", "machine": {}, "vocabulary": "old"}
    (tmp_path / "lineage.json").write_text(json.dumps(old), encoding="utf-8")
    assert _dates(made_parts("derived", day="friday")) == {"whole": "sunday", "derived": "friday"}


def test_what_was_measured_before_a_failure_is_kept(made_parts: Callable[..., dict[str, Any]]) -> None:
    found = made_parts(day="monday", fail="vocabulary")
    assert _dates(found) == {"whole": "monday", "derived": "monday"}


def test_parts_that_there_are_not(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["lineage", "qualty"])
    with pytest.raises(SystemExit) as ended:
        run.main()
    assert ended.value.code == 2
    assert "there is no part 'qualty'; there are: derived, vocabulary, quality, speed\n" in capsys.readouterr().err


def test_a_system_that_cannot_be_made_leaves_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def artifact_of(system: System) -> Path:
        if system.name == "static":
            raise InputError("no tokenizer.json\nand more")
        return tmp_path

    monkeypatch.setattr(run, "artifact_of", artifact_of)
    monkeypatch.setattr(run, "quality", lambda artifacts, _data: {name: {"STS12": 1.0} for name in artifacts})
    monkeypatch.setattr(run, "locate", lambda _path: Located())
    result: dict[str, Any] = {"systems": {"static": {"scores": {"STS12": 50.0}}, "words": {"reason": "before"}}}
    run._quality(result, tmp_path)
    assert len(result["systems"]) == len(SYSTEMS)
    assert result["systems"]["static"] == {"reason": "no tokenizer.json"}  # figures of another day are gone
    assert result["systems"]["words"] == {"scores": {"STS12": 1.0}, "dimension": 0}
    assert "not measured: static: no tokenizer.json" in capsys.readouterr().err


class Located:
    manifest = None


def test_a_derived_row_that_is_refused_does_not_end_the_others(tmp_path: Path) -> None:
    def refused(_folder: Path) -> Path:
        raise InputError(f"{tmp_path} holds nothing to export")

    rows = {"first": Derived(save=refused, note="--static"), "second": Derived(save=lambda folder: folder, note="")}
    found = outcomes(rows)
    assert found["first"] == {"note": "--static", "problem": f"{tmp_path} holds nothing to export"}
    assert "checkpoint" in found["second"]["problem"]
    assert "/tmp" not in found["second"]["problem"]


@pytest.mark.parametrize(("rate", "expected"), [(1279.0, (1279, 1)), (77_071.0, (20_000, 4)), (10.0, (512, 1))])
def test_a_run_takes_about_a_second(
    encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch, rate: float, expected: tuple[int, int]
) -> None:
    """A system that is through with all texts sooner takes them several times."""
    monkeypatch.setattr(measure, "_rate", lambda _encoder, _texts: rate)
    assert measure._length(encoder, ["hello"] * 20_000) == expected


def test_the_document_is_what_the_result_says() -> None:
    result = json.loads((RESULTS / "lineage.json").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page, result) == page
