"""What the documents tell users to type: every command exists with these options, and the Chinese page's program runs."""

import contextlib
import io
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from embedrt import SentenceEncoder
from embedrt.cli import app

_ROOT = Path(__file__).resolve().parents[1]
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))]


def _typed(page: Path) -> list[list[str]]:
    """The words of every command line of ``page``, without the comment behind it."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.startswith("$ ")]
    return [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_commands_exist(page: Path) -> None:
    commands = typer.main.get_command(app)
    for words in _typed(page):
        if words[0] != "embedrt":
            continue
        named = commands.commands[words[1]]  # type: ignore[attr-defined]
        context = named.context_class(named, info_name=words[1])
        named.make_parser(context).parse_args(words[2:])


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_extras_exist(page: Path) -> None:
    extras = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for found in re.findall(r"embedrt\[([\w,-]+)\]", page.read_text(encoding="utf-8")):
        assert set(found.split(",")) <= extras.keys()


def test_pages_that_are_linked_are_there() -> None:
    for page in _PAGES:
        for target in re.findall(r"\]\(([\w./-]+\.md)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"


def test_the_chinese_program(
    tmp_path: Path, write_artifact: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (_ROOT / "docs/zh.md").read_text(encoding="utf-8")
    [program] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    write_artifact(tmp_path / "bge", serving={"max_seq_length": 64}, tokenizer={"max_length": 64})
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(program, names)
    documents, instruction = names["documents"], names["instruction"]
    assert isinstance(documents, list)
    with SentenceEncoder("bge") as encoder:
        scores = encoder.similarity(encoder.encode(f"{instruction}怎么重置密码？"), encoder.encode(documents))[0]
    best = sorted(zip(scores, documents, strict=True), reverse=True)[:2]
    assert printed.getvalue() == "".join(f"{score:.3f}  {text}\n" for score, text in best)
