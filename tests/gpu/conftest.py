"""Tests here run on a CUDA device, or say why they do not."""

from pathlib import Path

import pytest
from embedrt_bench.gpu.cards import why_no_card
from embedrt_bench.models.minilm import exported, with_lengths, with_variants


@pytest.fixture(scope="session")
def card() -> str:
    """``cuda``, where there is one."""
    if (reason := why_no_card()) is not None:
        pytest.skip(reason)
    return "cuda"


@pytest.fixture(scope="session")
def minilm_fp16(card: str) -> Path:
    """The real MiniLM with its float16 variant."""
    assert card
    return with_variants(exported(quiet=True)[0], ("fp16",), quiet=True)


@pytest.fixture(scope="session")
def minilm_by_lengths(minilm_fp16: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with attention by lengths in its float16 variant."""
    return with_lengths(minilm_fp16, tmp_path_factory.mktemp("gpu") / "lengths")
