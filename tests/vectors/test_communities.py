"""community_detection: the groups of sentence-transformers, of any size, in blocks of any size."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers.util import community_detection as theirs

from embedrt import communities
from embedrt.communities import community_detection
from embedrt.errors import InputError
from embedrt.similarity import cos_sim


def _clusters(seed: int, rows: int = 300) -> npt.NDArray[np.float32]:
    """Rows around 12 centers, far more around some of them; their cosines are exact in float32, and equal ones in plenty."""
    numbers = np.random.default_rng(seed)
    centers = numbers.choice([-1.0, 1.0], (12, 16))[np.minimum(numbers.geometric(0.3, rows) - 1, 11)]
    flipped = np.where(numbers.random((rows, 16)) < 0.05, -centers, centers)
    return np.asarray(flipped * numbers.choice([0.25, 1.0, 8.0], (rows, 1)), dtype=np.float32)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 999),
    st.sampled_from([0.5, 0.75, 0.875]),
    st.sampled_from([1, 2, 5, 10]),
    st.sampled_from([1, 1000, 1 << 23]),
)
def test_as_sentence_transformers(seed: int, threshold: float, least: int, block: int) -> None:
    vectors = _clusters(seed)
    options: dict[str, Any] = {"threshold": threshold, "min_community_size": least, "batch_size": 7}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(communities, "_BLOCK", block)
        found = community_detection(vectors, **options)
    # theirs has equal cosines in any order
    assert [(one[0], sorted(one)) for one in found] == [(one[0], sorted(one)) for one in theirs(vectors, **options)]
    cosines = cos_sim(vectors, vectors)
    for center, *members in found:
        assert members == sorted(members, key=lambda row: (-cosines[center, row], row))


def test_groups_there_are() -> None:
    found = community_detection(_clusters(0))
    assert len(found) >= 5
    assert len({row for group in found for row in group}) == sum(map(len, found))
    assert [len(group) for group in found] == sorted(map(len, found), reverse=True)


def test_few_and_bad_ones() -> None:
    assert community_detection(np.zeros((0, 4))) == []
    assert community_detection(np.ones((9, 4))) == []
    assert community_detection(np.ones((10, 4))) == [list(range(10))]
    with pytest.raises(InputError, match="min_community_size is 0, expected at least 1"):
        community_detection(np.ones((9, 4)), min_community_size=0)
    with pytest.raises(InputError, match=r"embeddings have the shape \(4,\), expected \(n, dim\)"):
        community_detection(np.ones(4))
