"""What becomes of token ids in each role: cut as the tokenizer would have, expanded, and marked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedrt.artifact.kinds import Expansion, MultiVector
from embedrt.inference.batching import Batch
from embedrt.multi_vector.roles import Roles, kept_vectors
from embedrt.text.tokenizer import TextTokenizer

CLS, SEP, PAD = 2, 3, 0
WORDS = st.lists(st.sampled_from(["cat", "sat", "mat", "password", "."]), max_size=14).map(" ".join)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, write_tokenizer: Callable[..., Path]) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"), max_length=None)


def _settings(**values: object) -> MultiVector:
    return MultiVector(dimension=4, **values)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(WORDS, min_size=1, max_size=5), length=st.integers(3, 16))
def test_texts_are_cut_as_the_tokenizer_would(path: Path, texts: list[str], length: int) -> None:
    found = Roles(TextTokenizer(path), _settings(query_length=length)).rows(texts, "query").tokens
    expected = TextTokenizer(path, max_seq_length=length).encode(texts)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.lengths, expected.lengths)
    np.testing.assert_array_equal(found.starts, expected.starts)


def test_without_special_tokens_at_the_end(tmp_path: Path, write_tokenizer: Callable[..., Path]) -> None:
    path = write_tokenizer(tmp_path, template="[CLS] $A", max_length=None)
    found = Roles(TextTokenizer(path), _settings(document_length=4)).rows(["cat sat mat cat", "cat"], "document").tokens
    expected = TextTokenizer(path, max_seq_length=4).encode(["cat sat mat cat", "cat"])
    np.testing.assert_array_equal(found.ids, expected.ids)


@pytest.mark.parametrize("attended", [True, False])
def test_short_queries_are_filled_up(path: Path, attended: bool) -> None:
    expansion = Expansion(token_id=7, length=6, attended=attended)
    roles = Roles(TextTokenizer(path), _settings(expansion=expansion, query_length=8))
    rows = roles.rows(["cat", "cat sat mat cat sat mat cat sat"], "query")
    word = int(roles.rows(["cat"], "document").tokens.ids[1])
    assert rows.tokens.row(0).tolist() == [CLS, word, SEP, 7, 7, 7]
    assert rows.tokens.lengths.tolist() == [6, 8]
    assert (None if rows.tokens.attended is None else rows.tokens.attended.tolist()) == (None if attended else [3, 8])
    assert rows.kept.all()
    assert roles.rows(["cat"], "document").tokens.lengths.tolist() == [3]
    assert roles.rows(["cat"], None).tokens.lengths.tolist() == [3]


def test_which_tokens_are_kept(path: Path) -> None:
    tokenizer = TextTokenizer(path)
    cat, dot = (int(tokenizer.encode([word]).ids[1]) for word in ("cat", "."))
    skipping = Roles(tokenizer, _settings(skip_ids=(dot,)))
    assert [skipping.rows(["cat ."], role).kept.tolist() for role in ("query", "document", None)] == [
        [True, True, True, True],
        [True, True, False, True],
        [True, True, False, True],
    ]
    keeping = Roles(tokenizer, _settings(keep_ids=(cat,), leading=1))
    assert [keeping.rows(["cat ."], role).kept.tolist() for role in ("query", "document")] == [
        [False, True, True, True],
        [False, True, False, False],
    ]


@pytest.mark.parametrize("side", ["left", "right"])
def test_vectors_are_taken_from_their_place(path: Path, side: str) -> None:
    rows = Roles(TextTokenizer(path), _settings(leading=1)).rows(["cat", "cat sat"], None)
    output = np.arange(2 * 5 * 4, dtype=np.float32).reshape(2, 5, 4)
    found = kept_vectors(Batch(rows=np.array([1, 0]), length=5), output, rows, padding_side=side)
    first = {"left": (1, 2), "right": (0, 0)}[side]  # padding before the texts of 4 and 3 tokens
    np.testing.assert_array_equal(found[0], output[0, first[0] + 1 : first[0] + 4])
    np.testing.assert_array_equal(found[1], output[1, first[1] + 1 : first[1] + 3])
    assert all(one.base is None for one in found)  # each owns its memory
