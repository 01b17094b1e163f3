"""A cross-encoder of 6 layers, 384 wide, on real weights: parity, bits, and what int8 leaves of its quality."""

from pathlib import Path

import numpy as np
import pytest
from embedrt_bench.models.reranker import artifact, checkpoint
from embedrt_bench.texts.data import data_folder, sts_benchmark
from scipy.stats import spearmanr
from sentence_transformers import CrossEncoder as Original

from embedrt import CrossEncoder

VARIANTS = ("fp32", "int8", "int8-static")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(data_folder() is None, reason="the STS files are not there: set EMBEDRT_DATA"),
]


@pytest.fixture(scope="module")
def sts() -> Path:
    folder = data_folder()
    assert folder is not None
    return folder


@pytest.fixture(scope="module")
def folder(sts: Path) -> Path:
    return artifact(sts, ("int8", "int8-static"))


@pytest.fixture(scope="module")
def pairs(sts: Path) -> list[tuple[str, str]]:
    benchmark = sts_benchmark(sts)
    return list(zip(benchmark.first, benchmark.second, strict=True))


def test_float32_is_the_checkpoint(sts: Path, folder: Path, pairs: list[tuple[str, str]]) -> None:
    expected = Original(str(checkpoint(sts)), device="cpu").predict([list(pair) for pair in pairs[:300]])
    np.testing.assert_allclose(CrossEncoder(folder).predict(pairs[:300]), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_pair_has_the_same_bits_in_any_company(folder: Path, pairs: list[tuple[str, str]], variant: str) -> None:
    """The last layer and the head work on one row a pair: matrices of a single row must not be summed otherwise."""
    with CrossEncoder(folder, variant=variant) as reranker:
        together = reranker.predict(pairs)
        alone = [reranker.predict(pair) for pair in pairs[::9]]
        np.testing.assert_array_equal(alone, together[::9])
        np.testing.assert_array_equal(reranker.predict(pairs[::-1], batch_size=5)[::-1], together)


def test_what_int8_leaves_of_the_quality(sts: Path, folder: Path, pairs: list[tuple[str, str]]) -> None:
    gold = sts_benchmark(sts).gold
    found = {
        variant: 100 * float(spearmanr(CrossEncoder(folder, variant=variant).predict(pairs), gold).statistic)
        for variant in VARIANTS
    }
    assert found["fp32"] > 45, "it ranks well above chance"
    assert abs(found["int8"] - found["fp32"]) < 0.5
    assert abs(found["int8-static"] - found["fp32"]) < 1.5
