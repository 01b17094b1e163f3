"""Prompts: which is chosen, that it is a prefix and nothing more, and how it is left out of pooling."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from embedrt import SentenceEncoder
from embedrt.errors import InputError

Write = Callable[..., Path]
Reference = Callable[..., npt.NDArray[np.float32]]
TEXTS = ["hello", "", "a cat sat on the mat", "猫"]
PROMPTS = {"query": "query: ", "passage": "passage: ", "none": ""}


@pytest.fixture(scope="module")
def prompted(tmp_path_factory: pytest.TempPathFactory, write_artifact: Write) -> Iterator[SentenceEncoder]:
    folder = write_artifact(tmp_path_factory.mktemp("prompts") / "tiny", serving={"prompts": PROMPTS})
    with SentenceEncoder(folder, threads=1) as encoder:
        yield encoder


@pytest.fixture(scope="module")
def defaulting(tmp_path_factory: pytest.TempPathFactory, write_artifact: Write) -> Iterator[SentenceEncoder]:
    serving = {"prompts": {"passage": "passage: ", "s": "hello: "}, "default_prompt_name": "s"}
    folder = write_artifact(tmp_path_factory.mktemp("prompts") / "tiny", serving=serving)
    with SentenceEncoder(folder, threads=1) as encoder:
        yield encoder


def _prefixed(prefix: str) -> list[str]:
    return [prefix + text for text in TEXTS]


@pytest.mark.parametrize(("name", "prefix"), PROMPTS.items())
def test_a_named_prompt_is_its_text_put_in_front(prompted: SentenceEncoder, name: str, prefix: str) -> None:
    expected = prompted.encode(_prefixed(prefix))
    np.testing.assert_array_equal(prompted.encode(TEXTS, prompt_name=name), expected)
    np.testing.assert_array_equal(prompted.encode(TEXTS, prompt=prefix), expected)
    np.testing.assert_array_equal(prompted.encode(TEXTS[0], prompt_name=name), expected[0])


def test_prompts_make_a_difference(prompted: SentenceEncoder) -> None:
    plain = prompted.encode(TEXTS)
    for name in ("query", "passage"):
        assert np.abs(prompted.encode(TEXTS, prompt_name=name) - plain).max(axis=1).min() > 0.01


def test_a_prompt_goes_before_a_name(prompted: SentenceEncoder) -> None:
    found = prompted.encode(TEXTS, prompt="where is ", prompt_name="query")
    np.testing.assert_array_equal(found, prompted.encode(_prefixed("where is ")))


def test_without_a_default_there_is_no_prompt(prompted: SentenceEncoder, reference: Reference, tiny: Path) -> None:
    np.testing.assert_allclose(prompted.encode(TEXTS), reference(tiny, TEXTS), rtol=1e-5, atol=1e-6)
    assert prompted.default_prompt_name is None


def test_a_default_prompt_is_put_before_every_text(
    defaulting: SentenceEncoder, reference: Reference, tiny: Path
) -> None:
    assert defaulting.default_prompt_name == "s"
    expected = reference(tiny, _prefixed("hello: "))
    np.testing.assert_allclose(defaulting.encode(TEXTS), expected, rtol=1e-5, atol=1e-6)


def test_a_default_prompt_can_be_left_out_or_replaced(
    defaulting: SentenceEncoder, reference: Reference, tiny: Path
) -> None:
    plain = defaulting.encode(TEXTS, prompt="")
    np.testing.assert_allclose(plain, reference(tiny, TEXTS), rtol=1e-5, atol=1e-6)
    named = defaulting.encode(TEXTS, prompt_name="passage")
    np.testing.assert_array_equal(named, defaulting.encode(_prefixed("passage: "), prompt=""))


def test_queries_and_documents_have_their_own_prompts(prompted: SentenceEncoder) -> None:
    queries, documents = prompted.encode_query(TEXTS), prompted.encode_document(TEXTS)
    np.testing.assert_array_equal(queries, prompted.encode(_prefixed("query: ")))
    np.testing.assert_array_equal(documents, prompted.encode(_prefixed("passage: ")))
    np.testing.assert_array_equal(prompted.encode_query(TEXTS, prompt_name="passage"), documents)
    np.testing.assert_array_equal(prompted.encode_document(TEXTS, prompt="query: "), queries)
    np.testing.assert_array_equal(prompted.encode_query(TEXTS, truncate_dim=3), queries[:, :3])


def test_a_role_without_a_prompt_takes_the_default(defaulting: SentenceEncoder) -> None:
    np.testing.assert_array_equal(defaulting.encode_query(TEXTS), defaulting.encode(TEXTS))


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("corpus", "passage", "document"), "document"),
        (("corpus", "passage"), "passage"),
        (("corpus", "query"), "corpus"),
    ],
)
def test_which_prompt_a_document_has(
    tmp_path: Path, write_artifact: Write, names: tuple[str, ...], chosen: str
) -> None:
    words = dict(zip(names, ("cat ", "mat ", "hello "), strict=False))
    folder = write_artifact(tmp_path / "tiny", serving={"prompts": words})
    with SentenceEncoder(folder, threads=1) as encoder:
        expected = encoder.encode(_prefixed(words[chosen]))
        np.testing.assert_array_equal(encoder.encode_document(TEXTS), expected)


def test_an_unknown_prompt_is_named_with_the_known_ones(prompted: SentenceEncoder) -> None:
    with pytest.raises(InputError) as caught:
        prompted.encode("cat", prompt_name="s2p")
    assert str(caught.value) == (
        "prompt_name is 's2p', the checkpoint has these prompts: none, passage, query. Or pass prompt='…'"
    )


def test_the_encoders_own_prompts_cannot_be_changed_from_outside(prompted: SentenceEncoder) -> None:
    with pytest.raises(TypeError):
        prompted.prompts["query"] = "changed"  # type: ignore[index]
    assert prompted.prompts == PROMPTS


@pytest.mark.parametrize(
    ("template", "skip"),
    [("[CLS] $A [SEP]", 3), ("[CLS] $A", 3), ("$A [SEP]", 2), ("$A", 2)],
)
def test_a_prompt_may_be_left_out_of_pooling(
    tmp_path: Path, write_artifact: Write, reference: Reference, template: str, skip: int
) -> None:
    folder = write_artifact(
        tmp_path / "tiny",
        serving={"prompts": PROMPTS, "include_prompt": False},
        tokenizer={"template": template},
        pooling_mask=True,
    )
    texts = [text for text in TEXTS if text]
    with SentenceEncoder(folder, threads=1) as encoder:
        expected = reference(folder, [f"query: {text}" for text in texts], skip=skip)
        found = encoder.encode_query(texts)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(encoder.encode(texts, prompt="query: "), found)
        everything = reference(folder, [f"query: {text}" for text in texts])
        assert np.abs(found - everything).max(axis=1).min() > 1e-3
        plain = encoder.encode(texts)  # no prompt: nothing is left out
        np.testing.assert_allclose(plain, reference(folder, texts), rtol=1e-5, atol=1e-6)


def test_a_prompt_as_long_as_the_limit_leaves_the_last_token(
    tmp_path: Path, write_artifact: Write, reference: Reference
) -> None:
    folder = write_artifact(tmp_path / "tiny", serving={"include_prompt": False}, pooling_mask=True)
    with SentenceEncoder(folder, threads=1) as encoder:
        found = encoder.encode(["hello", "cat"], prompt="how " * 30)
    np.testing.assert_allclose(found, reference(folder, ["how " * 30] * 2, skip=15), rtol=1e-5, atol=1e-6)


GIVEN = {"query": "query: ", "passage": "passage: "}


def test_prompts_may_be_given_where_a_model_is_opened(tmp_path: Path, write_artifact: Write) -> None:
    """As E5 needs them; every checkpoint has empty ones from sentence-transformers, which give way."""
    folder = write_artifact(tmp_path / "tiny", serving={"prompts": {"query": "", "document": "", "cat": "a cat "}})
    with (
        SentenceEncoder(folder, threads=1) as plain,
        SentenceEncoder(folder, threads=1, prompts=GIVEN, default_prompt_name="passage") as encoder,
    ):
        assert encoder.prompts == {**GIVEN, "cat": "a cat "}
        assert encoder.default_prompt_name == "passage"
        np.testing.assert_array_equal(encoder.encode_query(TEXTS), plain.encode(_prefixed("query: ")))
        np.testing.assert_array_equal(encoder.encode_document(TEXTS), plain.encode(_prefixed("passage: ")))
        np.testing.assert_array_equal(encoder.encode(TEXTS), plain.encode(_prefixed("passage: ")))
        np.testing.assert_array_equal(encoder.encode(TEXTS, prompt_name="cat"), plain.encode(_prefixed("a cat ")))
        again = pickle.loads(pickle.dumps(encoder))
        assert (again.prompts, again.default_prompt_name) == (encoder.prompts, "passage")
        again.close()


def test_what_a_checkpoint_says_stays_beside_what_is_given(tmp_path: Path, write_artifact: Write) -> None:
    serving = {"prompts": {"query": "cat ", "document": "mat "}, "default_prompt_name": "query"}
    folder = write_artifact(tmp_path / "tiny", serving=serving)
    with SentenceEncoder(folder, threads=1, prompts={"query": "hello ", "passage": "p "}) as encoder:
        assert encoder.prompts == {"query": "hello ", "document": "mat ", "passage": "p "}
        assert encoder.default_prompt_name == "query"
    with SentenceEncoder(folder, threads=1, default_prompt_name="document") as encoder:
        assert (encoder.prompts, encoder.default_prompt_name) == (serving["prompts"], "document")


def test_prompts_that_are_none(tiny: Path) -> None:
    with pytest.raises(InputError, match="the default prompt is to be 'passage', expected one of the prompts: query"):
        SentenceEncoder(tiny, prompts={"query": "query: "}, default_prompt_name="passage")
    with pytest.raises(TypeError, match="prompts have 'query': 5, expected a str"):
        SentenceEncoder(tiny, prompts={"query": 5})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match=r"prompts is a list, expected texts by name: \{'query': 'query: '\}"):
        SentenceEncoder(tiny, prompts=["query: "])  # type: ignore[arg-type]
