"""Tables in documents: the blocks between ``<!-- MARK: NAME -->`` and ``<!-- end -->``, and the lines that they are made of."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["DOCS", "heading", "line", "processor", "said_of_parts", "versions", "with_blocks"]

DOCS = Path(__file__).resolve().parents[1] / "docs"


def with_blocks(text: str, mark: str, made: Callable[[str], str | None]) -> str:
    """``text`` with every block of ``mark`` made anew; where ``made(name)`` gives None, the block stays."""

    def replace(match: re.Match[str]) -> str:
        content = made(match[1])
        return match[0] if content is None else f"<!-- {mark}: {match[1]} -->\n{content}\n<!-- end -->"

    return re.sub(rf"<!-- {mark}: ([\w/-]+) -->\n.*?<!-- end -->", replace, text, flags=re.DOTALL)


def line(cells: Sequence[str]) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


def heading(columns: Sequence[str], *, words: int = 1) -> list[str]:
    """The first two rows; the first so many columns hold words, the rest figures, which stand to the right."""
    return [line(columns), "|" + "---|" * words + "---:|" * (len(columns) - words)]


def versions(result: dict[str, Any]) -> str:
    """Of the packages that every comparison turns on."""
    packages = result["machine"]["packages"]
    return ", ".join(f"{name} {packages[name]}" for name in ("onnxruntime", "torch", "sentence-transformers"))


def said_of_parts(result: dict[str, Any], parts: Sequence[str], sentence: Callable[[dict[str, Any]], str]) -> str:
    """``sentence`` on when and where ``parts`` of ``result`` were measured: one, or one for each that differs."""
    said: dict[str, list[str]] = {}
    for part in parts:
        whole = {**result, **result.get("measured", {}).get(part, {})}
        said.setdefault(sentence(whole), []).append(part)
    if len(said) == 1:
        return next(iter(said))
    return " ".join(f"{' and '.join(named).capitalize()}: {one}" for one, named in said.items())


def processor(result: dict[str, Any]) -> str:
    """What it calls itself, and which it is."""
    machine = result["machine"]
    return f"{machine['cpu']} (family/model {machine['cpu_family_model']})"
