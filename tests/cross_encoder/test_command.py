"""``embedrt rerank``: files in, order and form of the output, exit codes; ``embedrt embed`` names it."""

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from embedrt import CrossEncoder, SentenceEncoder

QUERY = "where is the cat"
DOCUMENTS = ["hello world", "a cat sat on the mat", "你好世界", "cat"]


Run = Callable[..., Any]


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    path = tmp_path / "documents.txt"
    path.write_text("\n".join(DOCUMENTS) + "\n", encoding="utf-8")
    return path


def as_lines(ranked: list[Any]) -> str:
    return "".join(f"{entry['score']:.6f}\t{DOCUMENTS[entry['corpus_id']]}\n" for entry in ranked)


def test_a_file(run: Run, tiny_reranker: Path, reranker: CrossEncoder, documents: Path) -> None:
    ended = run("rerank", tiny_reranker, QUERY, documents)
    assert ended == (0, as_lines(reranker.rank(QUERY, DOCUMENTS)), "")


@pytest.mark.parametrize("source", [(), ("-",)])
def test_stdin_and_top_k(run: Run, tiny_reranker: Path, reranker: CrossEncoder, source: tuple[str, ...]) -> None:
    ended = run("rerank", tiny_reranker, QUERY, *source, "--top-k", "2", stdin="\n".join(DOCUMENTS).encode())
    assert ended == (0, as_lines(reranker.rank(QUERY, DOCUMENTS, top_k=2)), "")


def test_json_keeps_the_fields_of_a_record(
    run: Run, tiny_reranker: Path, reranker: CrossEncoder, tmp_path: Path
) -> None:
    path = tmp_path / "documents.jsonl"
    lines = [json.dumps({"id": f"d{number}", "body": text}) for number, text in enumerate(DOCUMENTS)]
    path.write_text("\n".join(lines), encoding="utf-8")
    ended = run("rerank", tiny_reranker, QUERY, path, "--text-field", "body", "--json", "--activation", "identity")
    assert (ended.code, ended.err) == (0, "")
    assert "你好世界" in ended.out
    expected = [
        {"id": f"d{entry['corpus_id']}", "body": DOCUMENTS[entry["corpus_id"]], **entry}
        for entry in reranker.rank(QUERY, DOCUMENTS, activation_fn="identity")
    ]
    assert [json.loads(line) for line in ended.out.splitlines()] == expected


@pytest.mark.parametrize("field", ["score", "corpus_id"])
def test_fields_that_json_would_overwrite(run: Run, tiny_reranker: Path, tmp_path: Path, field: str) -> None:
    path = tmp_path / "documents.jsonl"
    path.write_text(json.dumps({"text": "a cat"}) + "\n" + json.dumps({"text": "hello", field: 7}), encoding="utf-8")
    ended = run("rerank", tiny_reranker, QUERY, path, "--json")
    assert (ended.code, ended.out) == (2, "")
    assert f"{path} has a field {field!r} (record 2), and --json writes" in ended.err
    assert run("rerank", tiny_reranker, QUERY, path).code == 0


def test_dates_and_decimals_of_a_table_are_text(run: Run, tiny_reranker: Path, tmp_path: Path) -> None:
    fields = {"day": [dt.date(2026, 1, 2)], "price": [Decimal("1.50")]}
    parquet.write_table(pa.table({"text": ["a cat"], **fields}), tmp_path / "documents.parquet")
    ended = run("rerank", tiny_reranker, QUERY, tmp_path / "documents.parquet", "--json")
    found = json.loads(ended.out)
    assert (found["day"], found["price"], found["corpus_id"]) == ("2026-01-02", "1.50", 0)


def test_prompts(run: Run, tiny_reranker: Path, reranker: CrossEncoder, documents: Path) -> None:
    expected = as_lines(reranker.rank("query: " + QUERY, DOCUMENTS))
    assert run("rerank", tiny_reranker, QUERY, documents, "--prompt-name", "query").out == expected
    assert run("rerank", tiny_reranker, QUERY, documents, "--prompt", "query: ").out == expected


def test_a_text_of_several_lines_stays_on_one(run: Run, tiny_reranker: Path, tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    path.write_text(json.dumps({"text": "a cat\n\tsat"}), encoding="utf-8")
    assert run("rerank", tiny_reranker, QUERY, path).out.endswith("\ta cat sat\n")


def test_refusals(run: Run, tiny_reranker: Path, tiny: Path, documents: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.touch()
    model = str(tiny_reranker)
    for arguments, code, message in (
        ((model, QUERY, empty), 2, "holds no document: pass one a line"),
        ((model, QUERY, tmp_path / "gone.txt"), 2, "gone.txt cannot be read"),
        ((model, QUERY, documents, "--activation", "swish"), 2, "activation_fn is 'swish', expected one of"),
        ((model, QUERY, documents, "--prompt-name", "gone"), 2, "prompt_name is 'gone'"),
        ((tiny, QUERY, documents), 1, "load it with SentenceEncoder, or type embedrt embed or embedrt search\n"),
    ):
        ended = run("rerank", *arguments)
        assert (ended.code, ended.out) == (code, "")
        assert ended.err.startswith("embedrt: ")
        assert message in ended.err
        assert ended.err.count("\n") == 1
    assert run("similarity", model, "a", "b").err.endswith("load it with CrossEncoder, or type embedrt rerank\n")
    assert run("rerank", model, QUERY, documents, "--top-k", "0").code == 2
    assert run("rerank", model).code == 2


def test_search_refuses_what_cannot_rank_before_it_encodes(
    run: Run,
    tiny: Path,
    documents: Path,
    tmp_path: Path,
    write_reranker: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SentenceEncoder, "encode_document", lambda *_args, **_options: pytest.fail("it encodes"))
    several = write_reranker(tmp_path / "several", labels=("low", "high"), activation="identity")
    for model, code, message in (
        (tiny, 1, "is a dense model, CrossEncoder takes cross-encoder ones"),
        (
            several,
            2,
            "gives 2 scores a pair (low, high), and rank needs one: use predict, or /predict of embedrt serve",
        ),
        (tmp_path / "nowhere", 1, "nowhere"),
    ):
        ended = run("search", tiny, documents, QUERY, "--rerank", model)
        assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)
        assert message in ended.err


def test_search_shows_the_nearest_in_its_order(
    run: Run, tiny: Path, tiny_reranker: Path, reranker: CrossEncoder, documents: Path
) -> None:
    ended = run("search", tiny, documents, QUERY, "cat", "--rerank", tiny_reranker, "--top-k", "3", "--json")
    for answer in json.loads(ended.out):
        expected = reranker.rank(answer["query"], DOCUMENTS, top_k=3, return_documents=True)
        found = [(result["number"] - 1, result["score"], result["text"]) for result in answer["results"]]
        assert found == [(entry["corpus_id"], entry["score"], entry["text"]) for entry in expected]


def test_embed_names_it(run: Run, tiny_reranker: Path, documents: Path) -> None:
    ended = run("embed", tiny_reranker, documents)
    assert (ended.code, ended.out) == (1, "")
    assert f"type embedrt rerank {tiny_reranker} QUERY DOCUMENTS" in ended.err


def test_inspect_shows_scores_and_no_pooling(
    run: Run, tmp_path: Path, write_reranker: Callable[..., Path], edit_manifest: Callable[..., None]
) -> None:
    folder = write_reranker(tmp_path / "labels", labels=("low", "high"), activation="softmax")
    edit_manifest(folder, lambda content: content["variants"]["fp32"]["parity"].update(measures={"spearman": 0.98765}))
    shown = run("inspect", folder).out
    assert "scores           2 a pair, low, high" in shown
    assert "activation       softmax" in shown
    assert "pooling" not in shown
    assert "fp32: spearman 0.9877\n" in shown
