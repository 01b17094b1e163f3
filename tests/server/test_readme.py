"""The README's serving section, run as it is printed; only the port is another one."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedrt import SentenceEncoder

README = Path(__file__).resolve().parents[2] / "README.md"
QUESTION, CHINESE = "How do I reset my password?", "忘记密码怎么办？"


def _block(language: str) -> str:
    section = README.read_text(encoding="utf-8").split("\n## Serving\n")[1].split("\n## ")[0]
    found = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def _commands() -> list[str]:
    """Without prompts and comments; lines that go on are one command."""
    return [
        re.sub(r"\s+# .*", "", part.strip()) for part in re.split(r"^\$ ", _block("console"), flags=re.MULTILINE)[1:]
    ]


@pytest.fixture(scope="module")
def address(
    tmp_path_factory: pytest.TempPathFactory, write_artifact: Callable[..., Path]
) -> Iterator[tuple[str, Path]]:
    """Where ``embedrt serve minilm/`` listens, begun in a folder that has a ``minilm/``."""
    folder = tmp_path_factory.mktemp("readme")
    write_artifact(folder / "minilm")
    command = _commands()[1].split()
    assert command == ["embedrt", "serve", "minilm/"]
    environment = {"EMBEDRT_PORT": "0", "EMBEDRT_LOG_LEVEL": "warning", "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(
        [sys.executable, "-m", *command], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        said = running.stderr.readline()
        assert said.startswith("minilm at http://127.0.0.1:"), said
        yield said.split(" at http://")[1].strip(), folder / "minilm"
        running.terminate()
        assert running.wait(20) == 0


def test_install() -> None:
    assert _commands()[0] == 'pip install "embedrt[cpu,serve]"'


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(address: tuple[str, Path]) -> None:
    import json

    place, folder = address
    command = _commands()[2].replace("127.0.0.1:8080", place)
    shown = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=30).stdout
    with SentenceEncoder(folder) as encoder:
        found = np.array(json.loads(shown)["data"][0]["embedding"], dtype=np.float32)
        np.testing.assert_array_equal(found, encoder.encode(QUESTION))


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_openai(address: tuple[str, Path]) -> None:
    pytest.importorskip("openai")
    place, folder = address
    known: dict[str, Any] = {}
    exec(_block("python").replace("127.0.0.1:8080", place), known)
    known["client"].close()
    with SentenceEncoder(folder) as encoder:
        vectors = np.array([entry.embedding for entry in known["answer"].data], dtype=np.float32)
        np.testing.assert_array_equal(vectors, encoder.encode([QUESTION, CHINESE]))
        np.testing.assert_array_equal(np.array(known["vector"], dtype=np.float32), vectors[0])
