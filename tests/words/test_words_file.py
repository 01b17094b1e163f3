"""words.json: what is written comes back, what is damaged is named, and an artifact with words needs nothing else."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedrt_export.words.job import export_word_vectors
from embedrt_export.words.options import WordVectorOptions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedrt import SentenceEncoder
from embedrt.artifact import folder as artifact
from embedrt.artifact.folder import open_tokenizer
from embedrt.errors import ArtifactNotFoundError, IntegrityError, MissingDependencyError
from embedrt.text import jieba_words
from embedrt.text.segmenters import SPLITS, WordRules
from embedrt.text.tokenizer import TextTokenizer
from embedrt.text.words import WordTokenizer, read_words, write_words

RULES = WordRules(split="whitespace")


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.text(), max_size=9), stop=st.lists(st.text(), max_size=3), split=st.sampled_from(SPLITS))
def test_words_of_any_kind_come_back(tmp_path: Path, words: list[str], stop: list[str], split: str) -> None:
    rules = WordRules(split=split, stop_words=tuple(stop), phrase_separator=None, longest_phrase=2)
    write_words(tmp_path / "words.json", rules, words)
    assert read_words(tmp_path / "words.json") == (rules, words)


@pytest.fixture
def words(tmp_path: Path) -> WordTokenizer:
    write_words(tmp_path / "words.json", RULES, ["PADDING_TOKEN", "how", "cat", "猫"])
    return WordTokenizer(tmp_path / "words.json", max_seq_length=3)


def test_the_interface_of_every_tokenizer(words: WordTokenizer) -> None:
    rows = words.encode(["How, cat unknown", "", "cat cat cat cat"])
    assert [rows.row(index).tolist() for index in range(3)] == [[1, 2], [], [2, 2, 2]]
    assert words.tokens("a cat 猫") == ["cat", "猫"]
    pieces = words.pieces("a  cat, 猫 cat cat")
    assert [(piece.id, piece.token, piece.start, piece.stop) for piece in pieces] == [
        (2, "cat", 3, 7),
        (3, "猫", 8, 9),
        (2, "cat", 10, 13),
        (2, "cat", 14, 17),
    ]
    assert words.decode([1, 3, 99, -1]) == "how 猫"
    assert (words.token(3), words.token(4)) == ("猫", None)
    assert (words.vocabulary_size, words.max_seq_length) == (4, 3)


def test_the_file_tells_which_tokenizer(tiny: Path, tmp_path: Path) -> None:
    write_words(tmp_path / "words.json", RULES, ["cat"])
    assert type(open_tokenizer(tmp_path / "words.json")) is WordTokenizer
    assert type(open_tokenizer(tiny / "tokenizer.json")) is TextTokenizer


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "is not JSON"),
        ("[]", "holds a list, expected an object"),
        ('{"format_version": 2, "split": "whitespace", "words": []}', "is not of format_version 1"),
        ('{"format_version": 1, "split": "whitespace", "words": ["a", 2]}', "has no list of words"),
        ('{"format_version": 1, "split": "whitespace"}', "has no list of words"),
        (
            '{"format_version": 1, "split": "letters", "words": []}',
            "rules that this embedrt does not know: split is 'letters'",
        ),
        (
            '{"format_version": 1, "split": "jieba", "more": 1, "words": []}',
            "rules that this embedrt does not know.*more",
        ),
        ('{"format_version": 1, "words": []}', "rules that this embedrt does not know.*split"),
    ],
)
def test_damaged_files(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "words.json").write_text(content, encoding="utf-8")
    with pytest.raises(IntegrityError, match=expected):
        WordTokenizer(tmp_path / "words.json")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFoundError, match=r"there is no words\.json in"):
        WordTokenizer(tmp_path / "words.json")


def test_jieba_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jieba_words.jieba_cutter.cache_clear()
    monkeypatch.setitem(sys.modules, "jieba", None)
    write_words(tmp_path / "words.json", WordRules(split="jieba"), ["猫"])
    with pytest.raises(MissingDependencyError, match=r'Type: pip install "embedrt\[chinese\]"'):
        WordTokenizer(tmp_path / "words.json")


def test_words_that_were_changed_are_refused(glove: Path, tmp_path: Path) -> None:
    export_word_vectors(glove, tmp_path / "out", quiet=True)
    path = tmp_path / "out" / "words.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"cat"', '"cot"'), encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"words\.json has SHA-256"):
        SentenceEncoder(tmp_path / "out")
    path.unlink()
    with pytest.raises(IntegrityError, match=r"words\.json is missing"):
        SentenceEncoder(tmp_path / "out")


def test_a_graph_and_its_words_alone(glove: Path, tmp_path: Path) -> None:
    export_word_vectors(glove, tmp_path / "out", options=WordVectorOptions(pooling=("max",)), quiet=True)
    with SentenceEncoder(tmp_path / "out") as encoder:
        expected = encoder.encode(["cat dog", "none"])
    (tmp_path / "out" / "embedrt.json").unlink()
    for model in (tmp_path / "out", tmp_path / "out" / "onnx" / "model.onnx"):
        with SentenceEncoder(model) as encoder:
            np.testing.assert_array_equal(encoder.encode(["cat dog", "none"]), expected)


def test_what_is_downloaded_of_a_hub_repository(glove: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_word_vectors(glove, tmp_path / "out", quiet=True)
    asked = []

    def download(_repository: str, filename: str, **_options: Any) -> Path | None:
        asked.append(filename)
        return tmp_path / "out" / filename

    monkeypatch.setattr(artifact, "download_file", download)
    with SentenceEncoder("somebody/words") as encoder:
        assert encoder.encode("cat").any()
    assert sorted(asked) == ["embedrt.json", "onnx/model.onnx", "words.json"]


def test_the_artifact_is_described(glove: Path, tmp_path: Path) -> None:
    export_word_vectors(glove, tmp_path / "out", quiet=True)
    manifest = json.loads((tmp_path / "out" / "embedrt.json").read_text(encoding="utf-8"))
    assert manifest["source"]["model"] == "glove.txt"
    assert set(manifest["files"]) == {"README.md", "onnx/model.onnx", "words.json"}
    assert manifest["variants"]["fp32"]["attention"] == "none"
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "Word vectors, mean pooling" in card
    assert "Transformer" not in card
