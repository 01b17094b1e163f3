"""Chinese texts of exactly so many tokens, as the larger model and the GPU bench ask for them."""

from pathlib import Path

import pytest
from embedrt_bench.scenarios import bert_zh
from embedrt_bench.scenarios.bert_zh import texts_of_length
from embedrt_bench.texts.data import data_folder

from embedrt.errors import InputError

DATA = data_folder()


class _Letters:
    """A tokenizer of letters, two special tokens before and behind."""

    def __init__(self, _artifact: Path) -> None: ...

    def __enter__(self) -> "_Letters":
        return self

    def __exit__(self, *_error: object) -> None: ...

    def tokenize(self, texts: list[str]) -> list[str]:
        return [f"<{text}>" for text in texts]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight letters in the test split, which repeat, and eight in the others."""
    monkeypatch.setattr(bert_zh, "SentenceEncoder", _Letters)
    (tmp_path / "sts-zh").mkdir()
    for split, content in {
        "test": "一二，三\t四\t5\n一二三\t四。\t0\n",
        "valid": "五六\t七\t1\n",
        "train": "八九十\t千百\t1\n",
    }.items():
        (tmp_path / f"sts-zh/STS-B.{split}.tsv").write_text(content, encoding="utf-8")
    return tmp_path


def test_no_text_comes_twice_and_none_is_short(folder: Path) -> None:
    assert texts_of_length(folder, folder, tokens=4, count=2) == ["一二", "三四"]
    assert texts_of_length(folder, folder, tokens=4, count=6) == ["一二", "三四", "五六", "七八", "九十", "千百"]
    assert texts_of_length(folder, folder, tokens=5, count=3) == ["一二三", "四一二", "三四五"]


def test_more_than_there_are(folder: Path) -> None:
    with pytest.raises(InputError, match="sts-zh gives 6 texts of 4 tokens, expected at least 7"):
        texts_of_length(folder, folder, tokens=4, count=7)


@pytest.mark.skipif(DATA is None, reason="the STS files are not at hand: set EMBEDRT_DATA")
@pytest.mark.parametrize(("tokens", "count"), [(16, 2000), (128, 500), (64, 128)])
def test_the_files_hold_what_benches_ask_for(tokens: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bert_zh, "SentenceEncoder", _Letters)
    assert DATA is not None
    found = texts_of_length(DATA, DATA, tokens=tokens, count=count)
    assert len(set(found)) == count
    assert {len(text) for text in found} == {tokens - 2}
