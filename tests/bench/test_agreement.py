"""What ends a run before anything is timed: encoders that do not give what they are compared with."""

import numpy as np
import numpy.typing as npt
import pytest
from embedrt_bench.engines.process import EngineError
from embedrt_bench.kinds.agreement import require_equal, require_near

Floats = npt.NDArray[np.float32]
VECTORS = np.random.default_rng(0).normal(size=(6, 16)).astype(np.float32)
TOKENS = [VECTORS[:2], VECTORS[2:5], VECTORS[5:]]


def _with(value: float) -> Floats:
    changed = VECTORS.copy()
    changed[4, 3] = value
    return changed


def test_the_largest_difference_of_vectors_and_of_tokens() -> None:
    assert require_equal("a", VECTORS + np.float32(0.25), VECTORS, at_most=0.3) == pytest.approx(0.25, abs=1e-6)
    moved = [TOKENS[0], TOKENS[1], TOKENS[2] + np.float32(0.125)]
    assert require_equal("a", moved, TOKENS, at_most=0.2) == pytest.approx(0.125, abs=1e-6)
    assert require_equal("a", VECTORS[0], VECTORS[0], at_most=0) == 0  # a score a text


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (_with(float(VECTORS[4, 3]) + 0.5), r"^one: differs by 5\.0e-01, at most 0\.1 is expected"),
        (_with(np.nan), "^one: some of its numbers are not finite"),
        (_with(-np.inf), "^one: some of its numbers are not finite"),
        (VECTORS[:5], "^one: its vectors have other shapes than the original's: 5 arrays instead of 6"),
        (VECTORS[:, :8], r"^one: .* other shapes than the original's: \(8,\), not \(16,\)"),
        (VECTORS[::-1], "^one: differs by"),
    ],
)
def test_whoever_gives_something_else_has_no_times(found: Floats, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        require_equal("one", found, VECTORS, at_most=0.1)


def test_as_many_tokens() -> None:
    with pytest.raises(EngineError, match=r"\(3, 16\), not \(2, 16\)"):
        require_equal("one", [TOKENS[1], TOKENS[0], TOKENS[2]], TOKENS, at_most=10)


def test_rounded_vectors_are_near_or_have_no_times() -> None:
    noise = np.random.default_rng(1).normal(size=VECTORS.shape).astype(np.float32)
    assert 0.98 < require_near("int8", VECTORS + 0.1 * noise, VECTORS) < 0.999
    with pytest.raises(EngineError, match=r"^int8: has a mean cosine of 0\.\d{4}, at least 0\.98 is expected"):
        require_near("int8", VECTORS + noise, VECTORS)
    with pytest.raises(EngineError, match="mean cosine"):
        require_near("int8", VECTORS[::-1], VECTORS)
    with pytest.raises(EngineError, match="not finite"):
        require_near("int8", _with(np.nan), VECTORS)
