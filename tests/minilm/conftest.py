"""The real all-MiniLM-L6-v2 beside its artifact, which is exported once a session."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from embedrt_bench.models.minilm import checkpoint_folder, exported
from embedrt_export.quantization import PRECISIONS, quantize, search
from embedrt_export.quantization.scheme import Setting

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


@pytest.fixture(scope="session")
def quantized(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with every variant behind the default gate; the search, which takes longest, has nothing to choose from."""
    folder = shutil.copytree(minilm, tmp_path_factory.mktemp("minilm") / "quantized")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "SETTINGS", (Setting(0.7, 100.0),))
        for precision in PRECISIONS:
            quantize(folder, precision, quiet=True)
    return folder
