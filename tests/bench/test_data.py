"""STS files: what is read of their lines, and where they are looked for."""

from pathlib import Path

import pytest
from embedrt_bench.texts.data import (
    Pairs,
    data_folder,
    evenly,
    required_data_folder,
    sts_benchmark,
    sts_texts,
    sts_year,
    sts_zh_texts,
)

from embedrt.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two scored test sets of 2013, one unscored line each way, and a tiny STS benchmark."""
    files = {
        "2013.second.test.tsv": "5.0\tlast one\tlast two\n",
        "2013.first.test.tsv": '2.6\tHe said "no\tShe said: \'no"\n\tunscored\tpair\n\n0\tzero counts\tas a score\textra\n',
        "2014.third.test.tsv": "1\tof another year\tone\u2028line\n",
        "2013.first.train.tsv": "1\tnot\ta test set\n",
        "stsb-test.csv": 'genre\tfile\t2012\t0007\t3.25\tA "b\tC, d\tsource\tsource\nshort\tline\n',
        "stsb-dev.csv": "g\tf\ty\t1\t\tno\tscore\n",
        "stsb-train.csv": "g\tf\ty\t1\t4\tlast one\tnew here\n",
    }
    (tmp_path / "sts-en").mkdir()
    for name, content in files.items():
        (tmp_path / "sts-en" / name).write_text(content, encoding="utf-8")
    return tmp_path


def test_year(folder: Path) -> None:
    assert sts_year(folder, 2013) == Pairs(
        first=['He said "no', "zero counts", "last one"],
        second=["She said: 'no\"", "as a score", "last two"],
        gold=[2.6, 0.0, 5.0],
    )
    assert sts_year(folder, 2014) == Pairs(["of another year"], ["one\u2028line"], [1.0])


def test_sets_follow_each_other_by_name(tmp_path: Path) -> None:
    (tmp_path / "sts-en").mkdir()
    for name in ("c", "e", "a", "d", "b"):
        (tmp_path / f"sts-en/2013.{name}.test.tsv").write_text(f"1\t{name}\tother\n", encoding="utf-8")
    assert sts_year(tmp_path, 2013).first == ["a", "b", "c", "d", "e"]


def test_benchmark(folder: Path) -> None:
    assert sts_benchmark(folder) == Pairs(['A "b'], ["C, d"], [3.25])
    assert sts_benchmark(folder, "dev") == Pairs([], [], [])


def test_every_text_once(folder: Path) -> None:
    assert sts_texts(folder) == [
        *('He said "no', "She said: 'no\"", "zero counts", "as a score", "last one", "last two"),
        *("of another year", "one\u2028line", "new here", 'A "b', "C, d"),
    ]


def test_named_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDRT_DATA", str(folder))
    assert data_folder() == folder
    monkeypatch.setenv("EMBEDRT_DATA", str(folder / "sts-en"))  # sts-en is not inside of it
    assert data_folder() is None


def test_an_even_sample() -> None:
    assert evenly("0123456789", 4) == ["0", "2", "5", "7"]
    assert evenly("abc", 5) == ["a", "b", "c"]
    assert evenly([], 5) == []


def test_what_cannot_do_without_them_says_what_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDRT_DATA", str(folder))
    assert required_data_folder("sts-en/stsb-dev.csv") == folder
    with pytest.raises(InputError, match=r"has no sts-zh/x\.tsv and no vocab/y\.txt: set EMBEDRT_DATA to a folder"):
        required_data_folder("sts-en/stsb-dev.csv", "sts-zh/x.tsv", "vocab/y.txt")
    monkeypatch.setenv("EMBEDRT_DATA", str(folder / "sts-en"))
    with pytest.raises(InputError, match="the STS files are not at hand: set EMBEDRT_DATA"):
        required_data_folder()


def test_chinese_texts(folder: Path) -> None:
    (folder / "sts-zh").mkdir()
    for split, content in {"test": "一\t二\t5\n三\t四\t0\n", "train": "五\t六\t1\n"}.items():
        (folder / f"sts-zh/STS-B.{split}.tsv").write_text(content, encoding="utf-8")
    assert sts_zh_texts(folder, "train", "test") == ["五", "六", "一", "二", "三", "四"]
