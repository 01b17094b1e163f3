"""What commands print, where stdout is narrow, no terminal, or cannot encode all characters."""

import io
import json
import sys
from pathlib import Path

import pytest

from embedrt.cli import main


def printed(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path, encoding: str) -> bytes:
    """The bytes of stdout, of which text is strict."""
    stdout = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout, encoding=encoding))
    monkeypatch.setattr(sys, "argv", ["embedrt", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    sys.stdout.flush()
    return stdout.getvalue()


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii"])
def test_an_encoding_that_lacks_a_character(monkeypatch: pytest.MonkeyPatch, tiny: Path, encoding: str) -> None:
    assert b"max |?|" in printed(monkeypatch, "inspect", tiny, encoding=encoding)
    texts = ["a cat", "你好世界"]
    answer = printed(monkeypatch, "similarity", tiny, *texts, "--json", encoding=encoding)
    assert json.loads(answer.decode())["texts"] == texts


def test_no_stdout(monkeypatch: pytest.MonkeyPatch, tiny: Path) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "argv", ["embedrt", "verify", str(tiny)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
