"""encode_iter: the vectors of encode, in order, with a bounded number of texts in hand."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedrt import SentenceEncoder
from embedrt.errors import BrokenTextError, InputError
from embedrt.inference import runner

TEXTS = [f"{'cat ' * (index % 11)}{'hello' if index % 3 else '猫'}" for index in range(95)]


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(runner, "_WINDOW", 10)
    return 10


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 95])
def test_vectors_of_encode_in_order(encoder: SentenceEncoder, count: int) -> None:
    found = list(encoder.encode_iter(iter(TEXTS[:count])))
    assert len(found) == count
    for vector, expected in zip(found, encoder.encode(TEXTS[:count], batch_size=1), strict=True):
        np.testing.assert_array_equal(vector, expected)


@given(st.lists(st.text(max_size=30), max_size=40), st.none() | st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_any_texts(encoder: SentenceEncoder, texts: list[str], batch_size: int | None) -> None:
    found = list(encoder.encode_iter(texts, batch_size=batch_size))
    np.testing.assert_array_equal(np.array(found).reshape(-1, 8), encoder.encode(texts))


def test_texts_are_read_as_vectors_are_taken(encoder: SentenceEncoder, small_windows: int) -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "cat"

    vectors = encoder.encode_iter(endless())
    assert read == 0
    for taken in range(1, 100):
        next(vectors)
        assert taken <= read <= taken + 2 * small_windows


def test_prompts_precision_width_and_length(encoder: SentenceEncoder) -> None:
    def both(**options: Any) -> None:
        found = np.array(list(encoder.encode_iter(TEXTS, **options)))
        np.testing.assert_array_equal(found, encoder.encode(TEXTS, **options))

    both(prompt="query: ")
    both(precision="ubinary")
    both(truncate_dim=3, normalize_embeddings=True)
    assert (np.array(list(encoder.encode_iter(TEXTS, prompt="query: "))) != encoder.encode(TEXTS)).any()


def test_a_wrong_wish_is_refused_before_anything_is_read(encoder: SentenceEncoder) -> None:
    def never() -> Iterator[str]:
        yield from (text for text in TEXTS if pytest.fail("was read"))

    with pytest.raises(TypeError, match=r"sentences is a str, expected an iterable of str: pass \[text\]"):
        encoder.encode_iter("cat")
    with pytest.raises(InputError, match="precision is 'int8', expected one of float32, binary, ubinary"):
        encoder.encode_iter(never(), precision="int8")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="truncate_dim is 9, expected 1 to 8"):
        encoder.encode_iter(never(), truncate_dim=9)
    with pytest.raises(InputError, match="prompt_name is 'nothing'"):
        encoder.encode_iter(never(), prompt_name="nothing")
    with pytest.raises(InputError, match="batch_size is 0"):
        encoder.encode_iter(never(), batch_size=0)


@pytest.mark.usefixtures("small_windows")
def test_a_text_that_is_none_is_named_and_the_vectors_before_it_were_given(encoder: SentenceEncoder) -> None:
    taken: list[object] = []
    with pytest.raises(TypeError, match=r"sentences\[25\] is a int \(7\), expected a str"):
        taken.extend(encoder.encode_iter([*TEXTS[:25], 7]))  # type: ignore[list-item]
    assert len(taken) == 10


@pytest.mark.usefixtures("small_windows")
def test_half_a_surrogate_pair_is_named_by_its_place_among_all_texts(encoder: SentenceEncoder) -> None:
    texts = [*TEXTS[:25], "\ud83d", *TEXTS[:7]]
    for call in (encoder.encode, lambda texts: list(encoder.encode_iter(texts))):
        with pytest.raises(BrokenTextError, match=r"^sentences\[25\] holds half of a surrogate pair") as caught:
            call(texts)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.usefixtures("small_windows")
def test_an_error_leaves_the_encoder_usable(encoder: SentenceEncoder) -> None:
    expected = encoder.encode(TEXTS)
    stream = encoder.encode_iter(TEXTS)
    next(stream)
    del stream  # abandoned half way
    with pytest.raises(TypeError):
        encoder.encode([*TEXTS, 7])  # type: ignore[list-item]
    np.testing.assert_array_equal(encoder.encode(TEXTS), expected)


def test_a_closed_encoder_says_so(tiny: Path) -> None:
    encoder = SentenceEncoder(tiny)
    encoder.close()
    with pytest.raises(InputError, match="was closed"):
        encoder.encode_iter(["cat"])
