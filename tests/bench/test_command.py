"""What is typed for benches: their options, and errors as a sentence."""

from pathlib import Path
from types import ModuleType

import pytest
from embedrt_bench.command import errors_told, measuring
from embedrt_bench.kinds import hybrid, multi_vector, rerank, sparse, word_loading

from embedrt.errors import InputError


def test_an_error_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, errors_told():
        raise InputError("the files are not at hand")
    assert ended.value.code == "the files are not at hand"
    with pytest.raises(ZeroDivisionError), errors_told():
        _ = 1 / 0


def test_options(tmp_path: Path) -> None:
    parser = measuring("what", output=tmp_path / "usual.json", rounds=5)
    asked = parser.parse_args([])
    assert (asked.output, asked.rounds) == (tmp_path / "usual.json", 5)
    asked = parser.parse_args(["--rounds", "2", "--output", str(tmp_path / "a.json")])
    assert (asked.output, asked.rounds) == (tmp_path / "a.json", 2)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--rounds", "0"], "--rounds: '0' came, expected a whole number of at least 1"),
        (["--rounds", "-1"], "--rounds: '-1' came, expected a whole number of at least 1"),
        (["--rounds", "1.5"], "--rounds: '1.5' came"),
        (["--output", "."], "--output: '.' is a folder or in none, expected a file in a folder that exists"),
        (["--output", "nowhere/a.json"], "--output: 'nowhere/a.json' is a folder or in none"),
        (["quick"], "unrecognized arguments: quick"),
    ],
)
def test_what_cannot_be_asked_for(
    typed: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        measuring("what", output=tmp_path / "usual.json", rounds=5).parse_args(typed)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("kind", [sparse, multi_vector, hybrid, rerank, word_loading], ids=lambda kind: kind.__name__)
def test_every_kind_is_asked_in_this_way(
    kind: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """None of them begins to measure, or writes over a result, where something else was typed."""
    monkeypatch.setattr("sys.argv", ["bench", "--rounds", "0"])
    with pytest.raises(SystemExit) as ended:
        kind.main()
    assert ended.value.code == 2
    assert "--rounds: '0' came" in capsys.readouterr().err
