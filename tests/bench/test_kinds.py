"""Models of other kinds: their documents hold what the result files do, and what is measured is what is said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedrt_bench.engines.process import EngineError
from embedrt_bench.kinds import hybrid, multi_vector, sparse, word_loading
from embedrt_bench.kinds.beside import sts_sample
from embedrt_bench.kinds.hybrid import texts_of

from embedrt import SparseVectors
from embedrt.errors import InputError


@pytest.mark.parametrize(
    ("page", "made"), [(hybrid.DOCUMENT, hybrid.with_table), (word_loading.PAGE, word_loading.with_table)]
)
def test_the_tables_are_up_to_date(page: Path, made: Callable[[str], str]) -> None:
    text = page.read_text(encoding="utf-8")
    assert made(text) == text
    assert made(text.replace("2026", "2020")) != text.replace("2026", "2020")  # there is a block, and it is made anew


def test_texts_have_the_tokens_that_are_said() -> None:
    def length(text: str) -> int:
        return 2 + sum({"cat": 4, "a": 2}[word] for word in text.split())

    texts = texts_of(64, 16, length)
    assert len(set(texts)) == 16
    assert {length(text) for text in texts} == {64}
    with pytest.raises(InputError, match="there are not 17 texts of 64 tokens: 16"):
        texts_of(64, 17, length)
    with pytest.raises(InputError, match="there are not 3 texts of 63 tokens: 3, the first of 60"):
        texts_of(63, 3, length)


def _words(**more: Any) -> dict[str, Any]:
    return {
        "date": "2026-01-02",
        "machine": {"cpu": "A CPU", "cpu_family_model": "1/2", "threads": 64},
        "words": 10,
        "width": 3,
        "file_megabytes": 1.0,
        "matrix_megabytes": 2.0,
        "rows": {"read the file": {"seconds": 1.5, "peak_megabytes": 3.0}},
        **more,
    }


def test_word_loading_tells_its_own_threads() -> None:
    """Its processes get two at most, however many the machine has."""
    assert word_loading.table(_words(threads=2, rounds=3)).endswith(
        "Measured 2026-01-02 on 2 threads of an A CPU (family/model 1/2), 3 rounds in turns, medians."
    )
    assert word_loading.table(_words()).endswith("once each.")


def test_word_loading_takes_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def cold_run(arguments: list[str], *, threads: int) -> tuple[float, float]:
        started.append(arguments[-1])
        return (9.0, 1.0) if len(started) <= 6 else (float(len(started)), 2.0)

    monkeypatch.setattr(word_loading, "write_vectors", lambda path: path.write_text("word 1\n"))
    monkeypatch.setattr(word_loading, "cold_run", cold_run)
    found = word_loading.measure(tmp_path, rounds=3)
    assert len(started) == 18
    assert started[0] == started[6] == started[12]
    outs = {argument for argument in started if argument.endswith("fp32")}
    assert len(outs) == 3  # nothing is written over
    row = found["rows"]["read the file"]
    assert (row["seconds"], row["peak_megabytes"]) == (9.0, 2.0)
    assert row["runs"] == {"seconds": [9.0, 7.0, 13.0], "peak_megabytes": [1.0, 2.0, 2.0]}


class _Stub:
    """An encoder that gives what it is told to."""

    def __init__(self, vectors: Any) -> None:
        self._vectors = vectors

    def encode(self, _texts: list[str], **_options: Any) -> Any:
        return self._vectors

    encode_query = encode_document = encode


RIGHT = np.abs(np.random.default_rng(0).normal(size=(3, 8))).astype(np.float32)


def test_sparse_vectors_are_compared_with_the_original() -> None:
    def compared(**vectors: Any) -> float:
        ours: Any = {name: _Stub(SparseVectors.from_dense(dense)) for name, dense in vectors.items()}
        return sparse._compared(ours, RIGHT, ["a", "b", "c"])

    assert compared(fp32=RIGHT, int8=RIGHT * np.float32(1.01)) == 0
    for wrong in (RIGHT + np.float32(1e-3), np.where(RIGHT > 1, np.nan, RIGHT)):
        with pytest.raises(EngineError, match="embedrt fp32: "):
            compared(fp32=wrong)
    with pytest.raises(EngineError, match="embedrt int8: has a mean cosine"):
        compared(fp32=RIGHT, int8=RIGHT[:, ::-1])


@pytest.mark.parametrize("role", ["query", "document"])
def test_token_vectors_are_compared_in_either_role(role: str) -> None:
    right = [RIGHT[:1], RIGHT[1:]]
    wrong = [RIGHT[:1], np.where(RIGHT[1:] > 1, np.nan, RIGHT[1:])]

    def compared(**vectors: Any) -> float:
        ours: Any = {name: _Stub(tokens) for name, tokens in vectors.items()}
        return multi_vector._compared(role, _Stub(right), ours, ["a", "b"])

    assert compared(fp32=right, int8=right) == 0
    for variants in ({"fp32": wrong}, {"fp32": right, "int8": wrong}):
        with pytest.raises(EngineError, match="not finite"):
            compared(**variants)


def test_a_sample_is_from_all_over_the_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("embedrt_bench.kinds.beside.required_data_folder", lambda: tmp_path)
    monkeypatch.setattr("embedrt_bench.kinds.beside.sts_texts", lambda _folder: [*"abcdefghijk"])
    assert sts_sample(6) == (tmp_path, ["a", "b", "d", "f", "h", "j"])
    assert sts_sample(20)[1] == [*"abcdefghijk"]
