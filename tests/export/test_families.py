"""The families by name: each look-alike exported, and compared with sentence-transformers under each of its prompts."""

from pathlib import Path

import embedrt_export
import numpy as np
import pytest
from embedrt_bench.compatibility.families import FAMILIES, save_family
from sentence_transformers import SentenceTransformer

from embedrt import SentenceEncoder

TEXTS = ["", "cat", "忘记密码怎么办？", "The kitten sleeps on the warm roof, and it is raining.", "Где поезд? " * 20]
QUICK = ("LaBSE", "paraphrase-multilingual-MiniLM", "sentence-t5", "BGE zh v1.5", "EmbeddingGemma", "Qwen3-Embedding")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAMILIES]
)
def test_a_family(tmp_path: Path, name: str) -> None:
    checkpoint = save_family(name, tmp_path / "checkpoint")
    manifest = embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    family, theirs = FAMILIES[name], SentenceTransformer(str(checkpoint), device="cpu")
    assert {key: manifest.serving.prompts.get(key) for key in family.prompts} == family.prompts
    assert manifest.serving.normalize == family.normalize
    with SentenceEncoder(tmp_path / "out") as ours:
        for prompt in (None, *family.prompts):
            _assert_close(ours.encode(TEXTS, prompt_name=prompt), theirs.encode(TEXTS, prompt_name=prompt))
        _assert_close(ours.encode_query(TEXTS), theirs.encode_query(TEXTS))
        _assert_close(ours.encode_document(TEXTS), theirs.encode_document(TEXTS))


def _assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    """Within 1e-5 on the scale of unit vectors."""
    lengths = np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1)
    np.testing.assert_allclose(found / lengths, expected / lengths, rtol=0, atol=1e-5)


def test_the_prompts_of_the_families_matter(tmp_path: Path) -> None:
    checkpoint = save_family("BGE zh v1.5", tmp_path / "checkpoint")
    embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    with SentenceEncoder(tmp_path / "out") as encoder:
        query, document = encoder.encode_query("猫在屋顶上睡觉"), encoder.encode_document("猫在屋顶上睡觉")
    assert float(query @ document) < 0.999
