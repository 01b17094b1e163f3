"""Tokenizers that add no special tokens make nothing of an empty text: its vector is zero, and nobody else's changes."""

import json
from pathlib import Path

import embedrt_export
import numpy as np
import pytest
from embedrt_bench.compatibility.architectures import save_checkpoint
from sentence_transformers import SentenceTransformer

from embedrt import SentenceEncoder


@pytest.mark.parametrize(("architecture", "pooling"), [("qwen3", "lasttoken"), ("bert", "mean"), ("bert", "max")])
def test_texts_without_tokens(tmp_path: Path, architecture: str, pooling: str) -> None:
    checkpoint = save_checkpoint(architecture, tmp_path / "checkpoint", pooling=pooling)
    tokenizer = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
    (checkpoint / "tokenizer.json").write_text(json.dumps(tokenizer | {"post_processor": None}), encoding="utf-8")
    embedrt_export.export(str(checkpoint), tmp_path / "out", token_embeddings=True, quiet=True)
    texts = ["a cat", "", "忘记密码怎么办？", "the roof"]
    expected = SentenceTransformer(str(checkpoint), device="cpu").encode([text for text in texts if text])
    with SentenceEncoder(tmp_path / "out") as encoder:
        assert [len(row) for row in encoder.tokenize(["", "a"])] == [0, 1]
        found = encoder.encode(texts)
        np.testing.assert_array_equal(found[1], np.zeros(32))
        np.testing.assert_array_equal(encoder.encode(""), np.zeros(32))
        np.testing.assert_allclose(np.delete(found, 1, axis=0), expected, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(np.stack([encoder.encode(text) for text in texts]), found)
        np.testing.assert_array_equal(np.stack(list(encoder.encode_iter(texts))), found)
        tokens = encoder.encode(texts, output_value="token_embeddings")
        assert [len(rows) > 0 for rows in tokens] == [True, False, True, True]
