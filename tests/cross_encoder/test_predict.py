"""CrossEncoder.predict: scores against numpy, the same bits in any company, and what callers may pass."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedrt import CrossEncoder, SentenceEncoder
from embedrt.artifact.manifest import MANIFEST_FILE
from embedrt.errors import GraphError, InputError, KindError, ManifestError
from embedrt.inference import runner

Write = Callable[..., Path]
Logits = Callable[..., npt.NDArray[np.float32]]
PAIRS = [
    ("How do I reset my password?", "a cat sat on the mat"),
    ("", "hello"),
    ("hello", ""),
    ("", ""),
    ("忘记密码怎么办？", "你好世界"),
    ("a cat sat on the mat. " * 9, "cat"),
    ("cat", "a cat sat on the mat. " * 9),
    ("a cat " * 20, "hello world " * 20),
]
ANY_TEXT = st.lists(st.sampled_from(["cat", "hello", "猫", "?", "unheard"]), max_size=14).map(" ".join)


def sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


@pytest.mark.parametrize("batch_size", [None, 1, 2, 100])
def test_scores_are_those_of_numpy(
    reranker: CrossEncoder, tiny_reranker: Path, logits_of: Logits, batch_size: int | None
) -> None:
    found = reranker.predict(PAIRS, batch_size=batch_size)
    assert (found.dtype, found.shape) == (np.float32, (len(PAIRS),))
    np.testing.assert_allclose(found, sigmoid(logits_of(tiny_reranker, PAIRS)[:, 0]), rtol=1e-5, atol=1e-6)


def test_golden_scores(reranker: CrossEncoder) -> None:
    golden = [0.99289644, 0.98900235]
    np.testing.assert_allclose(reranker.predict([["hello world", "cat"], ["cat", "hello world"]]), golden, atol=1e-6)


def test_token_types_are_read_where_the_graph_has_them(
    reranker: CrossEncoder, tmp_path: Path, write_reranker: Write, logits_of: Logits
) -> None:
    folder = write_reranker(tmp_path / "untyped", types=False)
    untyped = CrossEncoder(folder).predict(PAIRS, activation_fn="identity")
    np.testing.assert_allclose(untyped, logits_of(folder, PAIRS, types=False)[:, 0], rtol=1e-5, atol=1e-5)
    assert np.abs(reranker.predict(PAIRS, activation_fn="identity") - untyped).min() > 1e-3


def test_one_pair_gives_one_score(reranker: CrossEncoder) -> None:
    together = reranker.predict(PAIRS)
    for pair, score in zip(PAIRS, together, strict=True):
        for inputs in (pair, list(pair), np.array(pair)):
            alone = reranker.predict(inputs)
            assert np.ndim(alone) == 0
            assert alone == score


def test_no_pairs_give_no_scores(reranker: CrossEncoder, tmp_path: Path, write_reranker: Write) -> None:
    nothings: list[Any] = [[], (), np.array([], dtype=str)]
    for nothing in nothings:
        found = reranker.predict(nothing)
        assert (found.dtype, found.shape) == (np.float32, (0,))
    several = CrossEncoder(write_reranker(tmp_path / "labels", labels=("low", "high"), activation="softmax"))
    assert several.predict([]).shape == (0, 2)
    assert several.predict([], activation_fn="softmax", apply_softmax=True).shape == (0, 2)


def test_several_labels(tmp_path: Path, write_reranker: Write, logits_of: Logits) -> None:
    folder = write_reranker(tmp_path / "labels", labels=("low", "middle", "high"), activation="identity")
    several, logits = CrossEncoder(folder), logits_of(folder, PAIRS, labels=3)
    assert (several.num_labels, several.labels, several.activation) == (3, ("low", "middle", "high"), "identity")
    np.testing.assert_allclose(several.predict(PAIRS), logits, rtol=1e-5, atol=1e-5)
    assert several.predict(PAIRS[0]).shape == (3,)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for options in ({"apply_softmax": True}, {"activation_fn": "softmax"}):
        np.testing.assert_allclose(several.predict(PAIRS, **options), shares, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(several.predict(PAIRS, activation_fn="sigmoid"), sigmoid(logits), rtol=1e-4, atol=1e-6)


def test_activations(reranker: CrossEncoder, tiny_reranker: Path, logits_of: Logits) -> None:
    logits = logits_of(tiny_reranker, PAIRS)[:, 0]
    expected: dict[Any, npt.NDArray[Any]] = {
        "identity": logits,
        "tanh": np.tanh(logits),
        "relu": np.maximum(logits, 0),
        "softmax": np.ones_like(logits),
    }
    for activation, scores in expected.items():
        np.testing.assert_allclose(reranker.predict(PAIRS, activation_fn=activation), scores, rtol=1e-4, atol=1e-5)
    doubled = reranker.predict(PAIRS, activation_fn=lambda both: 2 * both)
    np.testing.assert_array_equal(doubled, 2 * reranker.predict(PAIRS, activation_fn="identity"))
    np.testing.assert_array_equal(reranker.predict(PAIRS, activation_fn="sigmoid"), reranker.predict(PAIRS))
    np.testing.assert_array_equal(reranker.predict(PAIRS, apply_softmax=True), reranker.predict(PAIRS))


@settings(deadline=None, max_examples=40)
@given(pairs=st.lists(st.tuples(ANY_TEXT, ANY_TEXT), min_size=1, max_size=10), data=st.data())
def test_a_pair_has_the_same_bits_in_any_company(
    reranker: CrossEncoder, pairs: list[tuple[str, str]], data: st.DataObject
) -> None:
    together = reranker.predict(pairs)
    for pair, score in zip(pairs, together, strict=True):
        assert reranker.predict(pair) == score
    order = data.draw(st.permutations(range(len(pairs))))
    shuffled = reranker.predict([pairs[index] for index in order], batch_size=data.draw(st.none() | st.integers(1, 9)))
    np.testing.assert_array_equal(shuffled, together[np.array(order)])


def test_windows_and_workers_change_nothing(reranker: CrossEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [("cat " * (index % 5), "hello " * (index % 7)) for index in range(60)]
    whole = reranker.predict(pairs)
    monkeypatch.setattr(runner, "_WINDOW", 7)
    np.testing.assert_array_equal(reranker.predict(pairs, batch_size=2), whole)


def test_equal_pairs_have_equal_scores(reranker: CrossEncoder) -> None:
    """The same words are another pair where the border between query and document is another."""
    pairs = [("cat", "hello world"), ("cat hello", "world"), ("cat", "hello world"), ("hello world", "cat")]
    found = reranker.predict(pairs)
    np.testing.assert_array_equal(found, [reranker.predict(pair) for pair in pairs])
    assert len(set(found.tolist())) == 3


def test_threads_share_a_model(reranker: CrossEncoder) -> None:
    expected, found = reranker.predict(PAIRS * 5), [None] * 8

    def ask(number: int) -> None:
        found[number] = reranker.predict(PAIRS * 5)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for scores in found:
        np.testing.assert_array_equal(scores, expected)


def test_the_prompt_stands_before_the_first_text(reranker: CrossEncoder) -> None:
    prompted = [("query: " + first, second) for first, second in PAIRS]
    np.testing.assert_array_equal(reranker.predict(PAIRS, prompt_name="query"), reranker.predict(prompted))
    np.testing.assert_array_equal(reranker.predict(PAIRS, prompt="query: "), reranker.predict(prompted))
    with pytest.raises(InputError, match="prompt_name is 'passage', the checkpoint has these prompts: query"):
        reranker.predict(PAIRS, prompt_name="passage")


def test_tokens(reranker: CrossEncoder) -> None:
    rows = reranker.tokenize(PAIRS)
    assert [len(row) for row in rows] == [16, 4, 4, 3, 15, 16, 16, 16]
    assert reranker.max_seq_length == 16


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ("cat", TypeError, "inputs is a str ('cat'), expected [text, text], or a list of such pairs"),
        (None, TypeError, "inputs is a NoneType (None), expected [text, text], or a list of such pairs"),
        (b"cat", TypeError, "inputs is a bytes (b'cat'), expected"),
        ({"a": "b"}, TypeError, "inputs is a dict ({'a': 'b'}), expected"),
        (iter([("a", "b")]), TypeError, "inputs is a list_iterator"),
        (zip("a", "b", strict=True), TypeError, "expected [text, text], or a list of such pairs: pass list(…) of it"),
        (["a"], InputError, "inputs holds 1 texts, expected [text, text], or a list of such pairs"),
        (["a", "b", "c"], InputError, "inputs holds 3 texts, expected [text, text], or a list of such pairs"),
        ([1, 2], TypeError, "inputs[0] is a int (1), expected a str"),
        (["a", ["b", "c"]], TypeError, "inputs[1] is a list (['b', 'c']), expected a str"),
        ([["a", "b", "c"]], InputError, "inputs[0] holds 3 texts, expected two"),
        ([["a", "b"], ["c"]], InputError, "inputs[1] holds 1 texts, expected two"),
        ([["a", "b"], []], InputError, "inputs[1] holds 0 texts, expected two"),
        ([["a", "b"], "cd"], TypeError, "inputs[1] is a str ('cd'), expected a pair of texts"),
        ([["a", "b"], ["c", None]], TypeError, "inputs[1][1] is a NoneType (None), expected a str"),
        (np.zeros((2, 2)), TypeError, "inputs[0][0] is a float (0.0), expected a str"),
    ],
)  # fmt: skip
def test_what_is_no_pair(reranker: CrossEncoder, inputs: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        reranker.predict(inputs)
    assert message in str(raised.value)


def test_other_bad_input(reranker: CrossEncoder) -> None:
    with pytest.raises(InputError, match="activation_fn is 'swish', expected one of identity, sigmoid, softmax"):
        reranker.predict(PAIRS, activation_fn="swish")
    with pytest.raises(InputError, match="batch_size is 0, expected at least 1"):
        reranker.predict(PAIRS, batch_size=0)
    with pytest.raises(InputError, match="tensors were asked for"):
        reranker.predict(PAIRS, convert_to_tensor=True)
    with pytest.raises(InputError, match=r"^pairs\[1\] holds half of a surrogate pair"):
        reranker.predict([("a", "b"), ("c", "\ud800")])


def test_a_closed_model(tiny_reranker: Path) -> None:
    with CrossEncoder(tiny_reranker) as model:
        pass
    with pytest.raises(InputError, match="this model was closed: make a new CrossEncoder"):
        model.predict(PAIRS)


def test_classes_name_each_other(tiny_reranker: Path, tiny: Path) -> None:
    with pytest.raises(KindError, match="is a dense model, CrossEncoder takes cross-encoder ones: load it with Sent"):
        CrossEncoder(tiny)
    with pytest.raises(KindError, match="is a cross-encoder model, SentenceEncoder takes dense ones: load it with Cr"):
        SentenceEncoder(tiny_reranker)


def test_a_single_file_is_served_by_its_own_metadata(tiny_reranker: Path, reranker: CrossEncoder) -> None:
    alone = CrossEncoder(tiny_reranker / "onnx/model.onnx")
    np.testing.assert_array_equal(alone.predict(PAIRS), reranker.predict(PAIRS))
    assert (alone.variant, alone.activation) == (None, "sigmoid")


def test_scores_that_nothing_describes(tmp_path: Path, write_reranker: Write) -> None:
    folder = write_reranker(tmp_path / "foreign")
    (folder / MANIFEST_FILE).unlink()
    model = onnx.load(folder / "onnx/model.onnx")
    del model.metadata_props[:]
    onnx.save(model, folder / "onnx/model.onnx")
    with pytest.raises(GraphError, match=r"gives scores, logits, and neither an embedrt\.json nor the graph says how"):
        CrossEncoder(folder)


def test_a_manifest_without_a_head(
    tmp_path: Path, write_reranker: Write, edit_manifest: Callable[[Path, Callable[[dict[str, Any]], object]], None]
) -> None:
    folder = write_reranker(tmp_path / "headless")
    edit_manifest(folder, lambda content: content["serving"].update(reranking=None))
    with pytest.raises(ManifestError, match="has no `reranking`: export it again"):
        CrossEncoder(folder)


def test_what_it_says_of_itself(reranker: CrossEncoder, tiny_reranker: Path) -> None:
    assert repr(reranker) == (
        f"CrossEncoder({str(tiny_reranker)!r}, variant='fp32', num_labels=1, activation='sigmoid', max_seq_length=16, "
        "providers=['CPUExecutionProvider'])"
    )
    assert (reranker.labels, reranker.threads, reranker.prompts) == ((), 2, {"query": "query: "})
    assert reranker.default_prompt_name is None


def test_a_bar_is_shown_if_asked_for(reranker: CrossEncoder, capsys: pytest.CaptureFixture[str]) -> None:
    reranker.predict(PAIRS, show_progress_bar=True)
    assert "Scoring: 100%" in capsys.readouterr().err
    reranker.predict(PAIRS)
    assert capsys.readouterr().err == ""
