"""Architectures: each exported and compared with sentence-transformers, on texts that the exporter has not seen."""

from pathlib import Path

import embedrt_export
import numpy as np
import onnx
import pytest
from embedrt_bench.compatibility.architectures import ARCHITECTURES, save_checkpoint
from embedrt_bench.compatibility.page import Row, written
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
TAKEN = [name for name in ARCHITECTURES if name != "deberta-v2"]  # its traced attention runs in one shape only
QUICK = ("mpnet", "t5", "modernbert", "qwen3", "gemma3_text")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in TAKEN]
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


def test_the_page_tells_what_came_of_each() -> None:
    rows = [
        Row(name="bert", attention="operator", difference=1.25e-7, int8_cosine=0.99876),
        Row(name="deberta-v2", attention="eager", difference=2e-6, problem="no product can be quantized"),
        Row(name="llama", problem="llama cannot be traced"),
    ]
    page = written(rows, "before\n<!-- table: architectures -->\nold\n<!-- end -->\nafter\n")
    assert page.startswith("before\n<!-- table: architectures -->\n| architecture |")
    assert page.endswith("|\n<!-- end -->\nafter\n")
    assert "old" not in page
    assert "| bert | wordpiece | cls, right | one operator | 1.2e-07 | 0.9988 |" in page
    assert "| matrix products | 2.0e-06 | no product can be quantized |" in page
    assert "| refused: llama cannot be traced |" in page
