"""``embedrt`` called in this process, as the console script does, and what it reads."""

from collections.abc import Callable
from pathlib import Path

import pytest

TEXTS = ["How do I reset my password?", "", "忘记密码怎么办？", "a cat sat on the mat"]
QUERY = "[query] :cat: "  # what rich would take for a style and an emoji


def _assert_refused(ended: tuple[int, str, str], code: int, message: str) -> None:
    """One sentence on stderr, nothing on stdout."""
    found, out, err = ended
    assert message in err
    assert err.startswith("embedrt: ")
    assert err.count("\n") == 1
    assert (found, out) == (code, "")


@pytest.fixture(scope="session")
def assert_refused() -> Callable[[tuple[int, str, str], int, str], None]:
    return _assert_refused


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def prompted(tmp_path_factory: pytest.TempPathFactory, write_artifact: Callable[..., Path]) -> Path:
    """An artifact with a prompt and two variants, in a folder with brackets in its name."""
    return write_artifact(
        tmp_path_factory.mktemp("artifacts") / "tiny[1]",
        variants={"fp32": {}, "other": {"seed": 1}},
        serving={"prompts": {"query": QUERY}},
    )
