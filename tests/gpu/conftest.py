"""Tests here run on a CUDA device, or say why they do not."""

from pathlib import Path

import pytest
from embedrt_bench.gpu.cards import why_no_card
from embedrt_bench.minilm import exported, with_variants


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
