"""A step of scikit-learn's pipelines over our models."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from embedrt import SentenceEncoder
from embedrt.errors import ArtifactError, InputError, KindError
from embedrt.integrations.scikit_learn import EmbedrtVectorizer
from embedrt.integrations.sharing import shared

TOPICS = ["login", "billing", "cat", "login", "other"]


def test_the_vectors_are_the_encoder_s_own(prompted: Path, texts: list[str]) -> None:
    with SentenceEncoder(prompted) as encoder:
        np.testing.assert_array_equal(EmbedrtVectorizer(prompted).transform(texts), encoder.encode(texts))
        for role, encode in (("query", encoder.encode_query), ("document", encoder.encode_document)):
            found = EmbedrtVectorizer(prompted, role=role).fit_transform(texts)  # type: ignore[arg-type]
            np.testing.assert_array_equal(found, encode(texts))
        asked = EmbedrtVectorizer(prompted, prompt="a ", truncate_dim=4, normalize_embeddings=True)
        expected = encoder.encode(texts, prompt="a ", truncate_dim=4, normalize_embeddings=True)
        np.testing.assert_array_equal(asked.transform(texts), expected)


def test_whatever_holds_the_texts(prompted: Path, texts: list[str]) -> None:
    vectorizer = EmbedrtVectorizer(prompted)
    expected = vectorizer.transform(texts)
    for held in (np.array(texts), np.array(texts, dtype=object), pd.Series(texts), tuple(texts), iter(texts)):
        np.testing.assert_array_equal(vectorizer.transform(held), expected)


def test_it_is_ready_before_it_is_fitted(prompted: Path) -> None:
    vectorizer = EmbedrtVectorizer(prompted)
    check_is_fitted(vectorizer)
    check_is_fitted(make_pipeline(vectorizer))  # so BERTopic asks
    with pytest.raises(NotFittedError):
        check_is_fitted(make_pipeline(vectorizer, LogisticRegression()))


def test_a_column_of_a_table(prompted: Path, texts: list[str]) -> None:
    table = pd.DataFrame({"number": range(len(texts)), "text": texts})
    both = make_column_transformer(
        (EmbedrtVectorizer(prompted, truncate_dim=3), "text"), ("passthrough", ["number"])
    ).set_output(transform="pandas")
    found = both.fit_transform(table)
    names = [f"embedrtvectorizer__embedrtvectorizer{at}" for at in range(3)]
    assert list(found.columns) == [*names, "passthrough__number"]
    np.testing.assert_array_equal(found[names].to_numpy(), EmbedrtVectorizer(prompted, truncate_dim=3).transform(texts))


def test_a_name_for_each_component(prompted: Path) -> None:
    width = EmbedrtVectorizer(prompted).transform(["a"]).shape[1]
    assert len(EmbedrtVectorizer(prompted).get_feature_names_out()) == width
    assert len(EmbedrtVectorizer(prompted, truncate_dim=width - 1).get_feature_names_out()) == width - 1


def test_a_search_over_its_parameters_loads_one_model(
    prompted: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []
    original = SentenceEncoder.__init__

    def count(self: SentenceEncoder, *given: object, **named: object) -> None:
        loaded.append(given)
        original(self, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(SentenceEncoder, "__init__", count)
    pipeline = make_pipeline(EmbedrtVectorizer(prompted, threads=1).fit(texts), LogisticRegression())
    search = GridSearchCV(pipeline, {"embedrtvectorizer__truncate_dim": [1, 4]}, cv=2, error_score="raise")
    search.fit(texts * 4, TOPICS * 4)
    assert search.best_params_ == {"embedrtvectorizer__truncate_dim": 4}
    assert len(loaded) == 1


def test_parameters_that_are_set_anew_count(prompted: Path, texts: list[str], tmp_path: Path) -> None:
    vectorizer = EmbedrtVectorizer(prompted).fit(texts)
    vectorizer.set_params(model=tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match="nowhere"):
        vectorizer.transform(texts)


def test_a_pickle_is_its_parameters(prompted: Path, texts: list[str]) -> None:
    vectorizer = EmbedrtVectorizer(prompted, truncate_dim=4)
    before = pickle.dumps(vectorizer)
    expected = vectorizer.fit_transform(texts)
    assert pickle.dumps(vectorizer) == before
    again = pickle.loads(before)
    assert again.get_params() == clone(vectorizer).get_params() == vectorizer.get_params()
    np.testing.assert_array_equal(again.transform(texts), expected)


def test_the_model_stays_loaded_between_calls(prompted: Path, texts: list[str]) -> None:
    vectorizer = EmbedrtVectorizer(prompted, threads=1)
    vectorizer.transform(texts)
    held = shared(SentenceEncoder, prompted, variant=None, device="cpu", threads=1, revision=None)
    vectorizer.transform(texts)
    assert shared(SentenceEncoder, prompted, variant=None, device="cpu", threads=1, revision=None) is held


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("one text", r"X is one text, expected several: pass \[X\]"),
        (pd.DataFrame({"text": ["a"]}), "X has 2 dimensions, expected a list, an array or a Series of texts"),
        (pd.Series(["a", None]), "float|None"),
    ],
)
def test_what_is_no_list_of_texts(prompted: Path, given: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        EmbedrtVectorizer(prompted).transform(given)  # type: ignore[arg-type]


def test_what_cannot_be_loaded(prompted: Path, reranker: Path) -> None:
    with pytest.raises(InputError, match="narrator"):
        EmbedrtVectorizer(prompted, role="narrator").fit([])  # type: ignore[arg-type]
    with pytest.raises(KindError, match="load it with CrossEncoder"):
        EmbedrtVectorizer(reranker).fit([])


def test_no_texts(prompted: Path, write_artifact: Callable[..., Path]) -> None:
    vectorizer = EmbedrtVectorizer(prompted)
    assert vectorizer.transform([]).shape == (0, vectorizer.transform(["a"]).shape[1])
