"""STS files and Spearman's correlation, beside scipy."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from embedrt_export.quantization.sts import Pairs, read_pairs, spearman, sts_change, sts_sets
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from embedrt.errors import InputError


class Known:
    """Gives vectors of width 2, so that the cosine of the texts "0" and "x" is about x."""

    def encode(self, sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        angles = np.arccos([1.0 if text == "0" else float(text) for text in sentences])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


cosines = st.integers(-9, 9).map(lambda value: value / 10)
scores = st.integers(0, 5).map(float)


@given(st.lists(st.tuples(cosines, scores), min_size=2, max_size=40))
def test_equals_scipy(drawn: list[tuple[float, float]]) -> None:
    """Ties on both sides, as the gold scores of STS have them."""
    found, gold = [list(column) for column in zip(*drawn, strict=True)]
    if len(set(found)) == 1 or len(set(gold)) == 1:
        return  # undefined
    pairs = Pairs(["0"] * len(gold), [str(value) for value in found], gold)
    expected = 100 * spearmanr([float(f"{value:.4f}") for value in found], gold).statistic
    assert spearman(Known(), pairs) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("2013.x.test.tsv", '4.5\tfirst\tsecond\n0\t"a" b\tc\n\tno\tscore\n'),
        ("pairs-test.csv", 'first\tsecond\t4.5\n"a" b\tc\t0\nno\tscore\t\n'),
        (
            "stsb-test.csv",
            'g\tf\ty\t1\t4.5\tfirst\tsecond\r\ng\tf\ty\t2\t0\t"a" b\tc\textra\r\ng\tf\ty\t3\t\tno\tscore\r\n',
        ),
    ],
)
def test_layouts(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbf" + content.encode())
    assert read_pairs(path) == Pairs(["first", '"a" b'], ["second", "c"], [4.5, 0.0])


@pytest.mark.parametrize("content", ["", "a\tb\n", "a\tb\tc\n", "4.5,first,second\n", "\ta\tb\n"])
def test_no_sts_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "x-test.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"x-test\.csv is no STS file: expected tab-separated"):
        sts_sets(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, score in {"sub/2013.a.test.tsv": 1, "sub/2013.b.test.tsv": 2, "stsb-test.csv": 3}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        lines = [f"{value}\t0\t{(value - 2) / 10}" for value in (score, score + 1, 0)]
        (tmp_path / path).write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "stsb-train.csv").write_text("no sts file", encoding="utf-8")
    (tmp_path / "test.md").write_text("neither", encoding="utf-8")
    return tmp_path


def test_sets_of_a_folder(folder: Path) -> None:
    sets = sts_sets(folder)
    assert set(sets) == {"STS13", "stsb-test"}
    assert sets["STS13"].gold == [1, 2, 0, 2, 3, 0]  # a year's files together
    assert sets["stsb-test"].gold == [3, 4, 0]


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no STS test files: expected names such as"):
        sts_sets(tmp_path)


def test_change(folder: Path) -> None:
    class Reversed(Known):
        def encode(self, sentences: Sequence[str]) -> npt.NDArray[np.float32]:
            return super().encode([text if text == "0" else str(-float(text)) for text in sentences])

    assert spearman(Known(), sts_sets(folder)["STS13"]) == pytest.approx(100)
    assert sts_change(Known(), Known(), folder) == {"STS13": 0, "stsb-test": 0, "mean": 0}
    assert sts_change(Known(), Reversed(), folder) == pytest.approx({"STS13": -200, "stsb-test": -200, "mean": -200})
