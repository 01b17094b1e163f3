"""``embedrt pairs``: the tiny artifact's pairs against numpy, what is shown, what is refused, and the spilled road."""

import json
import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from rich.console import Console

from embedrt import SentenceEncoder
from embedrt.cli import pairs as pairs_module
from embedrt.spill import Need, spilled_vectors

Run = Callable[..., Any]
Refused = Callable[[Any, int, str], None]
PAIR_TEXTS = [
    "How do I reset my password?",
    "where is [bold]my[/x] :cat:\tinvoice",
    "how do i reset my password",
    "忘记密码怎么办？",
    "HOW DO I RESET MY PASSWORD?",
    "a cat sat on the mat " * 5,
]
TABLE = """\
┏━━━━━━━━┳━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┓
┃ score  ┃ number ┃ text                              ┃
┡━━━━━━━━╇━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┩
│ 1.0000 │      1 │ How do I reset my password?       │
│        │      5 │ HOW DO I RESET MY PASSWORD?       │
│ 0.9113 │      1 │ How do I reset my password?       │
│        │      3 │ how do i reset my password        │
│ 0.9113 │      3 │ how do i reset my password        │
│        │      5 │ HOW DO I RESET MY PASSWORD?       │
│ 0.8093 │      2 │ where is [bold]my[/x] :cat: invo… │
│        │      3 │ how do i reset my password        │
│ 0.7288 │      3 │ how do i reset my password        │
│        │      4 │ 忘记密码怎么办？                  │
│ 0.6906 │      2 │ where is [bold]my[/x] :cat: invo… │
│        │      4 │ 忘记密码怎么办？                  │
│ 0.6903 │      1 │ How do I reset my password?       │
│        │      2 │ where is [bold]my[/x] :cat: invo… │
│ 0.6903 │      2 │ where is [bold]my[/x] :cat: invo… │
│        │      5 │ HOW DO I RESET MY PASSWORD?       │
└────────┴────────┴───────────────────────────────────┘
"""


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "pair_texts.txt"
    path.write_text("\n".join(PAIR_TEXTS) + "\n", encoding="utf-8")
    return path


def lines_of(content: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.split("\n")[:-1]]


def test_table(run: Run, tiny: Path, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"│ {PAIR_TEXTS[5].strip()} │" in run("pairs", tiny, texts).out  # 200 columns
    monkeypatch.setenv("COLUMNS", "56")
    monkeypatch.setattr(Console, "is_terminal", property(lambda _console: True))
    ended = run("pairs", tiny, texts, "--top", "8")
    assert (ended.code, ended.err) == (0, "")
    assert re.sub(r"\x1b\[[\d;]*m", "", ended.out) == TABLE


def test_json_lines_agree_with_numpy(run: Run, tiny: Path, texts: Path, reference: Callable[..., Any]) -> None:
    ended = run("pairs", tiny, texts, "--json")
    assert (ended.code, ended.err) == (0, "")
    found = lines_of(ended.out)
    vectors: npt.NDArray[np.float32] = reference(tiny, PAIR_TEXTS)
    scores = vectors @ vectors.T
    assert len(found) == 15
    assert {(pair["first"], pair["second"]) for pair in found} == {(i, j) for j in range(1, 7) for i in range(1, j)}
    for pair in found:
        first, second = pair["first"] - 1, pair["second"] - 1
        assert pair["texts"] == [PAIR_TEXTS[first], PAIR_TEXTS[second]]
        np.testing.assert_allclose(pair["score"], scores[first, second], atol=1e-6)
    order = [(-pair["score"], pair["first"], pair["second"]) for pair in found]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("options", "count"), [(("--top", "2"), 2), (("--min-score", "0.9"), 3), (("--top", "99"), 15)]
)
def test_how_many(run: Run, tiny: Path, texts: Path, options: tuple[str, ...], count: int) -> None:
    assert len(lines_of(run("pairs", tiny, texts, "--json", *options).out)) == count


def test_output_file(run: Run, tiny: Path, texts: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    assert run("pairs", tiny, texts, "-o", path, "--top", "3") == (0, "", f"{path}: 3 pairs\n")
    assert path.read_text(encoding="utf-8") == run("pairs", tiny, texts, "--top", "3", "--json").out
    assert run("pairs", tiny, texts, "-o", path, "--quiet") == (0, "", "")


def test_other_sources(run: Run, tiny: Path, texts: Path, tmp_path: Path) -> None:
    expected = run("pairs", tiny, texts, "--json").out
    assert run("pairs", tiny, "-", "--json", stdin=texts.read_bytes()).out == expected
    records = tmp_path / "records.jsonl"
    records.write_text("\n".join(json.dumps({"body": text, "id": 1}) for text in PAIR_TEXTS), encoding="utf-8")
    assert run("pairs", tiny, records, "--json", "--text-field", "body").out == expected


def test_model_options(run: Run, prompted: Path, texts: Path) -> None:
    with SentenceEncoder(prompted, variant="other", threads=1) as encoder:
        vectors = encoder.encode(PAIR_TEXTS, prompt_name="query").astype(np.float64)
    highest = np.max(np.triu(vectors @ vectors.T, 1))
    options = ("--variant", "other", "--prompt-name", "query", "--threads", "1")
    found = lines_of(run("pairs", prompted, texts, *options, "--top", "1", "--json").out)
    np.testing.assert_allclose(found[0]["score"], highest, atol=1e-6)
    other = run("pairs", prompted, texts, "--variant", "other", "--json").out
    assert other != run("pairs", prompted, texts, "--json").out


def test_spilled_vectors_give_the_same(
    run: Run, tiny: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run("pairs", tiny, texts, "--json").out
    folder = tmp_path / "spill"
    folder.mkdir()
    used: list[Path] = []
    monkeypatch.setattr("embedrt.spill._A_PAIR", 1)
    monkeypatch.setattr(
        pairs_module, "available_memory", lambda: 590
    )  # less than 3 · 192 bytes of vectors and 15 pairs

    def open_noted(need: Need, place: Path) -> AbstractContextManager[npt.NDArray[np.float32]]:
        used.append(place)
        return spilled_vectors(need, place)

    monkeypatch.setattr(pairs_module, "spilled_vectors", open_noted)
    ended = run("pairs", tiny, texts, "--json", "--spill", folder)
    assert (ended.code, ended.out, used) == (0, expected, [folder])
    assert ended.err == (
        "6 vectors of 8 take 0.0 MB, too much for the memory that is free: "
        f"they are kept in a temporary file in {folder}\n"
    )
    assert list(folder.iterdir()) == []
    assert run("pairs", tiny, texts, "--json", "--spill", folder, "--quiet").err == ""


def test_no_room_at_all(
    run: Run, tiny: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_refused: Refused
) -> None:
    monkeypatch.setattr(pairs_module, "available_memory", lambda: 500)
    ended = run("pairs", tiny, texts, "--spill", tmp_path)
    assert_refused(ended, 1, "15 pairs take 0.0 MB, 0.0 MB of memory are free: ask for fewer with --top")
    monkeypatch.setattr("embedrt.spill.shutil.disk_usage", lambda _folder: type("Usage", (), {"free": 191}))
    ended = run("pairs", tiny, texts, "--spill", tmp_path, "--top", "1")
    assert_refused(ended, 1, f"6 vectors of 8 take 0.0 MB; 0.0 MB of memory and 0.0 MB in {tmp_path} are free")


def test_bars(run: Run, tiny: Path, texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr.__class__, "isatty", lambda _self: True)
    shown = run("pairs", tiny, texts, "--json").err
    assert "Encoding: 100%" in shown
    assert "6/6" in shown
    assert "Comparing: 100%" in shown
    assert "15/15" in shown
    assert run("pairs", tiny, texts, "--json", "--quiet").err == ""


def test_vectors_with_nan_are_named(
    run: Run, tiny: Path, texts: Path, monkeypatch: pytest.MonkeyPatch, assert_refused: Refused
) -> None:
    def encode(_encoder: SentenceEncoder, given: list[str], **_options: Any) -> npt.NDArray[np.float32]:
        vectors = np.ones((len(given), 8), dtype=np.float32)
        vectors[3, 5] = np.nan
        return vectors

    monkeypatch.setattr(SentenceEncoder, "encode", encode)
    monkeypatch.setattr(pairs_module, "_ROWS", 2)
    assert_refused(run("pairs", tiny, texts), 1, "the vector of text 4 has NaN or infinity in it")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "stdin: 2 texts or more were expected, 0 came"),
        (b"one\n", "1 came"),
        (b"\xff\n", "stdin, line 1 is not UTF-8 text"),
    ],
)
def test_too_little_to_compare(run: Run, tiny: Path, content: bytes, message: str, assert_refused: Refused) -> None:
    assert_refused(run("pairs", tiny, "-", stdin=content), 2, message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "out.txt"), "out.txt ends in '.txt', expected .jsonl"),
        (("-o", "nowhere/out.jsonl"), "nowhere is no folder"),
        (("--spill", "nowhere"), "nowhere is no folder: make it first"),
        (("--prompt-name", "query"), "prompt_name is 'query'"),
    ],
)
def test_wrong_wishes(
    run: Run, tiny: Path, texts: Path, options: tuple[str, str], message: str, assert_refused: Refused
) -> None:
    assert_refused(run("pairs", tiny, texts, *options), 2, message)


@pytest.mark.parametrize("options", [("--top", "0"), ("--min-score", "2"), ("--min-score", "nan")])
def test_out_of_range(run: Run, tiny: Path, texts: Path, options: tuple[str, str]) -> None:
    ended = run("pairs", tiny, texts, *options)
    assert (ended.code, ended.out) == (2, "")
    assert f"Invalid value for '{options[0]}'" in ended.err


def test_there_is_no_such_file(run: Run, tiny: Path, assert_refused: Refused) -> None:
    assert_refused(run("pairs", tiny, "nowhere.txt"), 2, "nowhere.txt cannot be read: No such file or directory")
