"""CLIP's text tower: the checkpoint reads images too, the artifact reads texts."""

from pathlib import Path

import embedrt_export
import numpy as np
import onnx
import pytest
from embedrt_bench.compatibility.clip import save_clip
from sentence_transformers import SentenceTransformer

from embedrt import SentenceEncoder
from embedrt.errors import CheckpointError

TEXTS = ["", "a photo of a cat", "忘记密码怎么办", "two dogs " * 60, "a", "a cat on the roof in the rain"]


@pytest.mark.parametrize("named_end", [True, False])
def test_the_text_tower(tmp_path: Path, named_end: bool) -> None:
    clip = save_clip(tmp_path / "clip", named_end=named_end)
    manifest = embedrt_export.export(str(clip), tmp_path / "out", quiet=True)
    assert (manifest.serving.dimension, manifest.serving.pooling) == (24, ("eos",))
    assert manifest.serving.max_seq_length == 20
    expected = SentenceTransformer(str(clip), device="cpu").encode(TEXTS)
    with SentenceEncoder(tmp_path / "out") as encoder:
        found = encoder.encode(TEXTS)
        np.testing.assert_array_equal(np.stack([encoder.encode(text) for text in TEXTS]), found)
    lengths = np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1)
    np.testing.assert_allclose(found / lengths, expected / lengths, rtol=0, atol=1e-5)
    graph = onnx.load(tmp_path / "out/onnx/model.onnx").graph
    assert [node.op_type for node in graph.node].count("Attention") == 2
    assert sum(np.prod(tensor.dims) for tensor in graph.initializer) < 60_000, "no weights of the image tower"


def test_a_plain_one(tmp_path: Path) -> None:
    """As transformers saves it, which is how CLIP lies on the Hub."""
    save_clip(tmp_path / "clip")
    plain = tmp_path / "clip-plain"
    embedrt_export.export(str(plain), tmp_path / "out", quiet=True)
    expected = SentenceTransformer(str(plain), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(SentenceEncoder(tmp_path / "out").encode(TEXTS), expected, rtol=1e-5, atol=1e-5)
    embedrt_export.verify(tmp_path / "out", against=str(plain), quiet=True)
    with pytest.raises(CheckpointError, match="clip-plain is a CLIPModel, which pools by itself: leave out --pooling"):
        embedrt_export.export(str(plain), tmp_path / "pooled", pooling=["mean"], quiet=True)
