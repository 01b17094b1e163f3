"""Search from the command line: the same hits as the classes give, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedrt import SentenceEncoder

Run = Callable[..., Any]
QUERIES = ["password", "cat"]


def test_nearest_texts(run: Run, prompted: Path, text_file: Path) -> None:
    texts = text_file.read_text(encoding="utf-8").split("\n")[:-1]
    with SentenceEncoder(prompted) as encoder:
        scores = encoder.similarity(encoder.encode_query(QUERIES), encoder.encode_document(texts))
        plain = encoder.similarity(encoder.encode(QUERIES), encoder.encode(texts))
    assert not np.allclose(scores, plain)  # the prompt of queries matters here
    ended = run("search", prompted, text_file, *QUERIES, "--top-k", "2", "--json")
    assert (ended.code, ended.err) == (0, "")
    for number, answer in enumerate(json.loads(ended.out)):
        order = np.argsort(-scores[number], kind="stable")[:2]
        assert answer["query"] == QUERIES[number]
        assert [result["number"] for result in answer["results"]] == (order + 1).tolist()
        assert [result["text"] for result in answer["results"]] == [texts[index] for index in order]
        np.testing.assert_allclose([result["score"] for result in answer["results"]], scores[number][order], atol=1e-6)


def test_table(run: Run, prompted: Path, text_file: Path) -> None:
    ended = run("search", prompted, text_file, "[query] :cat:", "--top-k", "1")
    assert "[query] :cat:" in ended.out
    assert ended.out.count("│") == 3 + 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nowhere.txt", "cat"), 2, "nowhere.txt cannot be read"),
        (("TEXTS", "cat", "--rerank", "DENSE"), 1, "is a dense model, CrossEncoder takes cross-encoder ones"),
    ],
)
def test_refused(
    run: Run, assert_refused: Callable[..., None], prompted: Path, text_file: Path,
    arguments: tuple[str, ...], code: int, message: str,
) -> None:  # fmt: skip
    names = {"TEXTS": text_file, "DENSE": prompted}
    assert_refused(run("search", prompted, *(names.get(name, name) for name in arguments)), code, message)


def test_an_empty_file(run: Run, assert_refused: Callable[..., None], prompted: Path, tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("", encoding="utf-8")
    assert_refused(run("search", prompted, tmp_path / "none.txt", "cat"), 2, "holds no text")
