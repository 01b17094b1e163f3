"""Spearman's correlation, beside one worked out by hand from ranks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from embedrt_bench.scenarios.sts import spearman, sts_scores
from embedrt_bench.texts.data import Pairs

ANGLES = [0.1, 0.9, 0.4, 0.2, 1.4]


def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """A text is an angle; vectors have different lengths, which cosine must not mind."""
    angles = np.array([float(text) for text in texts])
    unit: npt.NDArray[np.float32] = np.stack([np.cos(angles), np.sin(angles)], axis=1, dtype=np.float32)
    return unit * (1 + angles[:, None]).astype(np.float32)


def pairs(gold: list[float]) -> Pairs:
    return Pairs(["0"] * len(ANGLES), [str(angle) for angle in ANGLES], gold)


@pytest.mark.parametrize(
    ("gold", "expected"),
    [
        ([5, 2, 3, 4, 1], 100.0),  # the smaller the angle, the higher the score
        ([1, 4, 3, 2, 5], -100.0),
        # ranks by cosine 5 2 3 4 1, by gold 4 2 3 5 1: 1 - 6·(1+1) / (5·24)
        ([4, 2, 3, 5, 1], 90.0),
        # ties share a rank: 4.5 2 2 4.5 2 against 5 2 3 4 1: Pearson of these ranks
        ([5, 0, 0, 5, 0], 86.60254),
    ],
)
def test_spearman(gold: list[float], expected: float) -> None:
    assert spearman(encode, pairs(gold)) == pytest.approx(expected, abs=1e-4)


def test_scores_of_every_set(tmp_path: Path) -> None:
    (tmp_path / "sts-en").mkdir()
    golds = {"2012": [5, 2, 3, 4, 1], "2013": [1, 4, 3, 2, 5], "2014": [4, 2, 3, 5, 1]}
    for year, gold in golds.items():
        lines = [f"{score}\t0\t{angle}\n" for score, angle in zip(gold, ANGLES, strict=True)]
        (tmp_path / f"sts-en/{year}.set.test.tsv").write_text("".join(lines), encoding="utf-8")
    lines = [f"a\tb\tc\td\t{score}\t0\t{angle}\n" for score, angle in zip([5, 2, 3, 4, 1], ANGLES, strict=True)]
    (tmp_path / "sts-en/stsb-test.csv").write_text("".join(lines), encoding="utf-8")
    expected = {"STS12": 100.0, "STS13": -100.0, "STS14": 90.0, "STSb test": 100.0}
    assert sts_scores(encode, tmp_path) == pytest.approx(expected)
