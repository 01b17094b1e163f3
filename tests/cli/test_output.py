"""What commands print, where stdout is narrow, no terminal, or cannot encode all characters."""

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from embedrt.cli import main
from embedrt.cli.similarity import narrowest_table, similarity_lines, similarity_table


def printed(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path, encoding: str, errors: str = "strict") -> bytes:
    """The bytes of stdout."""
    stdout = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout, encoding=encoding, errors=errors))
    monkeypatch.setattr(sys, "argv", ["embedrt", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    sys.stdout.flush()
    return stdout.getvalue()


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])  # the latter is Python's own where LC_ALL is POSIX
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii"])
def test_an_encoding_that_lacks_a_character(
    monkeypatch: pytest.MonkeyPatch, tiny: Path, encoding: str, errors: str
) -> None:
    assert b"max |?|" in printed(monkeypatch, "inspect", tiny, encoding=encoding, errors=errors)
    texts = ["a cat", "你好世界"]
    answer = printed(monkeypatch, "similarity", tiny, *texts, "--json", encoding=encoding, errors=errors)
    assert json.loads(answer.decode())["texts"] == texts


def test_no_stdout(monkeypatch: pytest.MonkeyPatch, tiny: Path) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "argv", ["embedrt", "verify", str(tiny)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code


def test_numbers_are_never_cut() -> None:
    texts = ["a cat sat on the mat, " * 4, "hello", "word" * 20]
    scores = [[1.0, -0.125, 0.5], [-0.125, 1.0, 0.25], [0.5, 0.25, 1.0]]
    narrowest = narrowest_table(texts, scores)
    for width in (narrowest, 80, 1000):
        console = Console(width=width, file=io.StringIO())
        with console.capture() as captured:
            console.print(similarity_table(texts, scores))
        rows = [line.split("│")[3:-1] for line in captured.get().splitlines() if line.startswith("│")]
        assert [[float(cell) for cell in row] for row in rows if row[0].strip()] == scores
        assert max(map(len, captured.get().splitlines())) <= width


def test_short_texts_leave_room(monkeypatch: pytest.MonkeyPatch, tiny: Path) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    monkeypatch.setattr(Console, "is_terminal", property(lambda _console: True))
    answer = printed(monkeypatch, "similarity", tiny, *["hello"] * 7, encoding="utf-8").decode()
    assert answer.count("│ 1.000") == 7 * 7
    assert len(answer.splitlines()[-1]) == narrowest_table(["hello"] * 7, [[1.0] * 7] * 7)


def test_pairs_where_a_table_has_no_room() -> None:
    lines = list(similarity_lines(["a\ncat", "b", "c"], [[1.0, 0.5, 0.25], [0.5, 1.0, -0.5], [0.25, -0.5, 1.0]]))
    assert lines == ["0.500\ta cat\tb", "0.250\ta cat\tc", "-0.500\tb\tc"]


@pytest.mark.parametrize("terminal", [False, True])
def test_many_texts(monkeypatch: pytest.MonkeyPatch, tiny: Path, terminal: bool) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(Console, "is_terminal", property(lambda _console: terminal))
    answer = printed(monkeypatch, "similarity", tiny, *"abcdefghij", encoding="utf-8").decode()
    assert "…" not in answer
    if terminal:
        assert answer.splitlines()[-1].endswith("\ti\tj")
        assert answer.count("\n") == 45
    else:
        assert answer.count("│ 1.000") >= 10


@pytest.mark.parametrize("terminal", [False, True])
def test_file_names_are_whole(monkeypatch: pytest.MonkeyPatch, prompted: Path, terminal: bool) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(Console, "is_terminal", property(lambda _console: terminal))
    answer = printed(monkeypatch, "inspect", prompted, encoding="utf-8").decode()
    cells = [line.split("│")[1:4] for line in answer.splitlines() if line.startswith("│")]
    assert "onnx/model_other.onnx" in "".join(cell[1].strip() for cell in cells)
    assert [float(cell[2]) for cell in cells if cell[2].strip()] == [0.0, 0.0]
    assert (" onnx/model_other.onnx " in answer) is not terminal


def test_numbers_are_whole_on_the_narrowest_terminal(monkeypatch: pytest.MonkeyPatch, prompted: Path) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(Console, "is_terminal", property(lambda _console: True))
    answer = printed(monkeypatch, "inspect", prompted, encoding="utf-8").decode()
    cells = [line.split("│")[3:8] for line in answer.splitlines() if line.startswith("│")]
    assert "…" not in answer
    assert [[float(cell[at]) for at in (0, 2, 3, 4)] for cell in cells if cell[0].strip()] == [[0, 0, 1, 1]] * 2


@pytest.mark.parametrize("command", ["search", "pairs"])
def test_texts_are_whole_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, prompted: Path, tmp_path: Path, command: str
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text, file = " ".join(["some words"] * 30), tmp_path / "texts.txt"
    file.write_text(f"{text}\nothers\n", encoding="utf-8")
    queries = ["words"] if command == "search" else []
    assert text in printed(monkeypatch, command, prompted, file, *queries, encoding="utf-8").decode()


def test_a_line_a_fact_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert "int8 products" in printed(monkeypatch, "doctor", encoding="utf-8").decode()
