"""docs/migrating.md: its program is the one for sentence-transformers, and what it names is there."""

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from embedrt_bench.compatibility.architectures import save_checkpoint

import embedrt
from embedrt.cli import app

PAGE = (Path(__file__).resolve().parents[1] / "docs/migrating.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
ARRAYS = ("queries", "documents", "scores", "short")


def test_the_program_gives_what_it_gave_before(
    tmp_path: Path, export_to: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    [here] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    there = re.sub(r"^.*# was: (.*)$", r"\1", here, flags=re.MULTILINE)
    assert there.count("SentenceTransformer") == 2
    assert "embedrt" not in there
    assert there.splitlines()[3:] == here.splitlines()[3:]
    checkpoint = save_checkpoint("bert", tmp_path / "checkpoint")
    (tmp_path / "minilm").symlink_to(export_to(checkpoint))
    monkeypatch.chdir(tmp_path)
    found, expected = run(here), run(there.replace("sentence-transformers/all-MiniLM-L6-v2", str(checkpoint)))
    for name in ARRAYS:
        np.testing.assert_allclose(found[name], np.asarray(expected[name]), atol=1e-6, err_msg=name)
    assert np.abs(found["scores"]).min() > 0.01


def run(program: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(program, names)
    return names


def test_functions_that_are_named_are_there() -> None:
    named = [name for _, here in ROWS for name in re.findall(r"`(embedrt\.[\w.]+)`", here)]
    assert len(named) >= 4
    for name in named:
        module, _, function = name.rpartition(".")
        assert callable(getattr(importlib.import_module(module), function))
    classes = {name for _, here in ROWS for name in re.findall(r"`(\w+Encoder)\b", here)}
    assert classes == {"SentenceEncoder", "SparseEncoder", "MultiVectorEncoder", "CrossEncoder", "HybridEncoder"}
    assert classes <= set(embedrt.__all__)


def test_options_that_are_named_are_there() -> None:
    known = {option for name in ("serve", "export") for option in options_of(name)}
    named = {option for _, here in ROWS for option in re.findall(r"--[\w-]+", here)}
    assert len(named) >= 20
    assert named <= known


def options_of(name: str) -> set[str]:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    return {text for option in command.params for text in (*option.opts, *option.secondary_opts)}
