"""The README's retrieve-and-rerank, run as it is printed, beside what sentence-transformers gives for the same texts."""

import contextlib
import io
import re
from collections.abc import Callable
from pathlib import Path

import embedrt_export
import numpy as np
import pytest

from embedrt import SentenceEncoder

README = Path(__file__).resolve().parents[1] / "README.md"
LINES = 10


def _program() -> str:
    section = README.read_text(encoding="utf-8").split("\n## Retrieve and rerank\n")[1].split("\n## ")[0]
    found = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def _save_reranker(folder: Path) -> None:
    import torch
    from embedrt_bench.compatibility.tokenizers import small_tokenizer
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = small_tokenizer("wordpiece", max_length=64)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    model = BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), num_labels=1, **shape))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_retrieve_and_rerank(
    tmp_path: Path, write_artifact: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import CrossEncoder

    program = _program()
    assert len([line for line in program.split("\n") if line]) <= LINES
    write_artifact(tmp_path / "minilm")
    _save_reranker(tmp_path / "checkpoint")
    embedrt_export.export(str(tmp_path / "checkpoint"), tmp_path / "reranker", quiet=True)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(program, names)
    query, documents, found = names["query"], names["documents"], names["found"]
    assert isinstance(query, str)
    assert isinstance(documents, list)
    assert isinstance(found, list)
    with SentenceEncoder("minilm") as encoder:
        scores = encoder.similarity(encoder.encode(query), encoder.encode(documents))[0]
    assert found == [documents[index] for index in np.argsort(-scores, kind="stable")[:2]]
    expected = CrossEncoder(str(tmp_path / "checkpoint"), device="cpu").rank(query, found, return_documents=True)
    assert printed.getvalue() == "".join(f"{one['score']:.2f}  {one['text']}\n" for one in expected)
