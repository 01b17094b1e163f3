"""Architectures: each exported and compared with sentence-transformers, on texts that the exporter has not seen."""

import dataclasses
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import onnx
import pytest
from embedrt_bench.compatibility.architectures import ARCHITECTURES, Architecture, save_checkpoint
from embedrt_bench.compatibility.page import Outcome, Row, written
from sentence_transformers import SentenceTransformer

from embedrt import SentenceEncoder

TEXTS = [
    "",
    "cat",
    "忘记密码怎么办？",
    "The kitten sleeps on the warm roof, and it is raining in the valley.",
    "Где поезд? Где вокзал? " * 12,
    "a " * 100,
]
DEBERTAS: tuple[dict[str, Any], ...] = (
    {"position_buckets": -1, "max_relative_positions": 12, "share_att_key": False},
    {"pos_att_type": ["c2p"], "position_biased_input": False},
    {"pos_att_type": ["p2c"], "share_att_key": False, "position_buckets": 4},
    {"conv_kernel_size": 3, "norm_rel_ebd": "none"},
    {"relative_attention": False, "pos_att_type": None},
)
QUICK = ("mpnet", "t5", "deberta-v2", "modernbert", "qwen3", "gemma3_text")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ARCHITECTURES]
)
def test_vectors_are_those_of_sentence_transformers(tmp_path: Path, name: str) -> None:
    checkpoint = save_checkpoint(name, tmp_path / "checkpoint")
    manifest = embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    theirs = SentenceTransformer(str(checkpoint), device="cpu")
    expected = theirs.encode(TEXTS)
    with SentenceEncoder(tmp_path / "out") as ours:
        for row, ids in zip(ours.tokenize(TEXTS), TEXTS, strict=True):
            assert row.tolist() == theirs.tokenizer(ids, truncation=True)["input_ids"]
        found = ours.encode(TEXTS)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(np.stack([ours.encode(text) for text in TEXTS]), found)
    form = manifest.variants["fp32"].attention
    assert form == "operator"
    operators = [node.op_type for node in onnx.load(tmp_path / "out/onnx/model.onnx").graph.node]
    assert operators.count("Attention") == 2


def test_token_types_that_are_looked_up_among_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GPT-2 takes token types, and adds the word vectors of these ids, where it is given some; a text by itself has none."""
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    gpt2 = Architecture(config="GPT2Config", sizes=sizes, tokenizer="byte-level bpe", pooling="weightedmean")
    monkeypatch.setitem(ARCHITECTURES, "gpt2", gpt2)
    checkpoint = save_checkpoint("gpt2", tmp_path / "checkpoint")
    embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    expected = SentenceTransformer(str(checkpoint), device="cpu").encode(TEXTS)
    with SentenceEncoder(tmp_path / "out") as ours:
        np.testing.assert_allclose(ours.encode(TEXTS), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", DEBERTAS)
def test_kinds_of_deberta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    """Buckets that grow with the logarithm or none, either half of the bias, projections of its own, a convolution."""
    kind = ARCHITECTURES["deberta-v2"]
    monkeypatch.setitem(ARCHITECTURES, "deberta-v2", dataclasses.replace(kind, sizes={**kind.sizes, **options}))
    checkpoint = save_checkpoint("deberta-v2", tmp_path / "checkpoint")
    manifest = embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    assert manifest.variants["fp32"].attention == "operator"
    expected = SentenceTransformer(str(checkpoint), device="cpu").encode(TEXTS)
    with SentenceEncoder(tmp_path / "out") as ours:
        np.testing.assert_allclose(ours.encode(TEXTS), expected, rtol=0, atol=1e-5)


def test_the_page_tells_what_came_of_each() -> None:
    rows = [Row(cells=(name, "wordpiece", "cls, right", "models"), save=Path) for name in ("bert", "deberta", "llama")]
    cosines = {"int8": 0.99876, "int8-static": 0.9951, "fp16": 1.0}
    outcomes = [
        Outcome(attention="operator", difference=1.25e-7, cosines=cosines),
        Outcome(attention="eager", difference=2e-6, problem="no product can be quantized"),
        Outcome(problem="llama cannot be traced"),
    ]
    page = "before\n<!-- table: architectures -->\nold\n<!-- end -->\nbetween\n<!-- table: families -->\n<!-- end -->\n"
    page = written("architectures", list(zip(rows, outcomes, strict=True)), page)
    assert page.startswith("before\n<!-- table: architectures -->\n| architecture |")
    assert page.endswith("|\n<!-- end -->\nbetween\n<!-- table: families -->\n<!-- end -->\n")
    assert "old" not in page
    assert "| bert | wordpiece | cls, right | models | one operator | 1.2e-07 | 0.9988 | 0.9951 | 1.0000 |" in page
    assert "| matrix products | 2.0e-06 | no product can be quantized |" in page
    assert "| refused: llama cannot be traced |  |  |  |" in page
