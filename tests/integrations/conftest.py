"""A tiny model of each kind that frameworks use."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from embedrt_bench.compatibility.cross_encoders import save_cross_encoder
from embedrt_bench.compatibility.sparse import save_splade

# read when these are imported: a test tells nobody that it ran
os.environ |= {"HAYSTACK_TELEMETRY_ENABLED": "False", "ANONYMIZED_TELEMETRY": "False", "RAY_USAGE_STATS_ENABLED": "0"}

TEXTS = [
    "how do i reset my password",
    "where is the invoice",
    "a cat sat on the mat",
    "忘记密码怎么办",
    "hello world !",
]
Export = Callable[..., Path]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return list(TEXTS)


@pytest.fixture(scope="session")
def prompted(tmp_path_factory: pytest.TempPathFactory, write_artifact: Callable[..., Path]) -> Path:
    """A dense artifact with a prompt for queries and another for documents."""
    prompts = {"query": "query: ", "passage": "passage: "}
    return write_artifact(tmp_path_factory.mktemp("dense") / "prompted", serving={"prompts": prompts})


@pytest.fixture(scope="session")
def reranker(tmp_path_factory: pytest.TempPathFactory, export_to: Export) -> Path:
    return export_to(save_cross_encoder("MS-MARCO ELECTRA", tmp_path_factory.mktemp("reranker") / "checkpoint"))


@pytest.fixture(scope="session")
def splade(tmp_path_factory: pytest.TempPathFactory, export_to: Export) -> Path:
    return export_to(save_splade("bert", tmp_path_factory.mktemp("splade") / "checkpoint"))
