"""The real all-MiniLM-L6-v2 beside its artifact, which is exported once a session."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from embedrt_bench.minilm import checkpoint_folder, exported

from embedrt import SentenceEncoder


@pytest.fixture(scope="session")
def checkpoint() -> Path:
    return checkpoint_folder()


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact; tests only read it."""
    artifact, _ = exported(tmp_path_factory.mktemp("minilm") / "minilm", quiet=True)
    return artifact


@pytest.fixture(scope="session")
def encoder(minilm: Path) -> Iterator[SentenceEncoder]:
    with SentenceEncoder(minilm) as shared:
        yield shared


@pytest.fixture(scope="session")
def original(checkpoint: Path) -> Any:
    """The checkpoint in sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(checkpoint), device="cpu")
