"""A small file of word vectors, and a corpus of its words."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

WIDTH = 30
COMMON = ["the", "of", "and", "in", "cat", "dog", "house", "river", "sleeps", "runs"]
NAMES = [*COMMON, *(f"w{number}" for number in range(190))]


@pytest.fixture(scope="session")
def rows() -> dict[str, npt.NDArray[np.float32]]:
    """Each word's vector; all lean in one direction, as real ones do."""
    random = np.random.default_rng(5)
    table = random.normal(size=(len(NAMES), WIDTH)) + 0.7 * random.normal(size=WIDTH)
    return dict(zip(NAMES, table.astype(np.float32), strict=True))


@pytest.fixture(scope="session")
def glove(rows: dict[str, npt.NDArray[np.float32]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The words as GloVe writes them."""
    path = tmp_path_factory.mktemp("vectors") / "glove.txt"
    lines = [f"{word} {' '.join(map(repr, map(float, row)))}\n" for word, row in rows.items()]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    """Texts in which the first words are frequent, by Zipf's law."""
    random = np.random.default_rng(6)
    shares = 1 / np.arange(1, len(NAMES) + 1)
    drawn = [random.choice(NAMES, size=size, p=shares / shares.sum()) for size in random.integers(1, 15, size=400)]
    return [" ".join([*words, "unknown"]) for words in drawn]


@pytest.fixture(scope="session")
def corpus(sentences: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    path.write_text("\n".join(sentences) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def write_lines(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[str]], Path]:
    def write(lines: list[str]) -> Path:
        path = tmp_path_factory.mktemp("lines") / "lines.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write
