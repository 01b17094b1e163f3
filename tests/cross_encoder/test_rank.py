"""CrossEncoder.rank: the order of documents, equal ones, and what callers may pass."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedrt import CrossEncoder
from embedrt.errors import InputError

QUERY = "where is the cat"
DOCUMENTS = ["hello world", "a cat sat on the mat", "hello world", "", "cat", "a cat sat on the mat"]


class Shown:
    """What is shown on several lines, as pandas' tables are."""

    def __repr__(self) -> str:
        return "on\n  two lines"


def test_the_best_come_first_and_equal_ones_in_their_order(reranker: CrossEncoder) -> None:
    scores = reranker.predict([(QUERY, text) for text in DOCUMENTS]).tolist()
    found = reranker.rank(QUERY, DOCUMENTS)
    expected = sorted(range(6), key=lambda index: (-scores[index], index))
    assert [entry["corpus_id"] for entry in found] == expected
    assert [entry["score"] for entry in found] == [scores[index] for index in expected]
    assert all(set(entry) == {"corpus_id", "score"} and type(entry["score"]) is float for entry in found)
    places = {entry["corpus_id"]: place for place, entry in enumerate(found)}
    assert places[2] == places[0] + 1, "the two equal documents stand together, the first one before the second"
    assert places[5] == places[1] + 1


def test_top_k_and_texts(reranker: CrossEncoder) -> None:
    every = reranker.rank(QUERY, DOCUMENTS)
    for top_k in (1, 3, 6, 100):
        shown = reranker.rank(QUERY, DOCUMENTS, top_k=top_k, return_documents=True)
        assert [{"corpus_id": entry["corpus_id"], "score": entry["score"]} for entry in shown] == every[:top_k]
        assert [entry["text"] for entry in shown] == [DOCUMENTS[entry["corpus_id"]] for entry in shown]


def test_options_reach_predict(reranker: CrossEncoder) -> None:
    logits = reranker.predict([("query: " + QUERY, text) for text in DOCUMENTS], activation_fn="identity")
    found = reranker.rank(QUERY, np.array(DOCUMENTS), prompt_name="query", activation_fn="identity", batch_size=2)
    assert {entry["corpus_id"]: entry["score"] for entry in found} == dict(enumerate(logits.tolist()))


def test_no_documents_have_no_ranking(reranker: CrossEncoder) -> None:
    assert reranker.rank(QUERY, []) == []
    assert reranker.rank(QUERY, (), top_k=3, return_documents=True) == []


@pytest.mark.parametrize(
    ("query", "documents", "options", "error", "message"),
    [
        (["a"], ["b"], {}, TypeError, "query is a list (['a']), expected a str"),
        ("a", "bcd", {}, TypeError, "documents is a str ('bcd'), expected a list of str: pass [text] for one"),
        ("a", iter(["b"]), {}, TypeError, "), expected a list of str: pass list(…) of it"),
        (
            "a",
            Shown(),
            {},
            TypeError,
            "documents is a Shown (on two lines), expected a list of str: pass [text] for one",
        ),
        ("a", None, {}, TypeError, "documents is a NoneType (None), expected a list of str"),
        ("a", ["b", 3], {}, TypeError, "documents[1] is a int (3), expected a str"),
        ("a", [["b"]], {}, TypeError, "documents[0] is a list (['b']), expected a str"),
        ("a", ["b"], {"top_k": 0}, InputError, "top_k is 0, expected at least 1, or None for all documents"),
        ("a", ["b"], {"top_k": -2}, InputError, "top_k is -2, expected at least 1"),
        ("a", [], {"top_k": 0}, InputError, "top_k is 0, expected at least 1"),
        ("a", ["b"], {"top_k": 1.5}, TypeError, "top_k is a float (1.5), expected a whole number or None"),
        ("q", ["a", "b", "\ud800"], {}, InputError, "pairs[2] holds half of a surrogate pair"),
    ],
)
def test_bad_input(
    reranker: CrossEncoder, query: Any, documents: Any, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        reranker.rank(query, documents, **options)
    assert message in str(raised.value)


def test_half_a_surrogate_pair_is_named_by_its_place_among_all_documents(
    reranker: CrossEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedrt.inference.runner._WINDOW", 4)
    with pytest.raises(InputError, match=r"^pairs\[9\] holds half of a surrogate pair"):
        reranker.rank("q", [*"abcdefghi", "\ud800", "j"])


def test_several_scores_have_no_order(tmp_path: Path, write_reranker: Callable[..., Path]) -> None:
    several = CrossEncoder(write_reranker(tmp_path / "labels", labels=("low", "high"), activation="softmax"))
    with pytest.raises(
        InputError, match=r"gives 2 scores a pair \(low, high\), and rank needs one: use predict, or /predict of"
    ):
        several.rank(QUERY, DOCUMENTS)
