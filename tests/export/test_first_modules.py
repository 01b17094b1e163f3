"""Checkpoints that begin with what the exporter does not take: refused with the reason."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import pytest
import torch
from embedrt_bench.compatibility.clip import clip_tokenizer
from embedrt_bench.compatibility.tokenizers import small_tokenizer
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import (
    ByT5Tokenizer,
    CanineConfig,
    CanineModel,
    CanineTokenizer,
    ReformerConfig,
    ReformerModel,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipProcessor,
    T5Config,
    T5EncoderModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from embedrt.errors import CheckpointError

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
CODE = """
from sentence_transformers.base.modules import InputModule, Transformer


class Wrapped(InputModule):
    save_in_root = True
    max_seq_length = 24

    def __init__(self, inner):
        super().__init__()
        self.inner, self.auto_model, self.tokenizer = inner, inner.auto_model, inner.tokenizer

    @classmethod
    def load(cls, folder, **_options):
        return cls(Transformer(folder))

    def save(self, folder, *_arguments, **_options):
        self.inner.save(folder)

    def preprocess(self, *arguments, **options):
        return self.inner.preprocess(*arguments, **options)

    def forward(self, features, **_options):
        return self.inner(features)

    def get_embedding_dimension(self):
        return self.inner.get_embedding_dimension()
"""


def test_one_of_its_own(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "wrapped")
    (folder / "wrapped.py").write_text(CODE, encoding="utf-8")
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    modules[0]["type"] = "wrapped.Wrapped"
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"modules\.json lists Wrapped, Pooling, Normalize; the exporter takes"):
        embedrt_export.export(str(folder), tmp_path / "out", trust_remote_code=True, quiet=True)


def test_siglip(tmp_path: Path) -> None:
    """Its text side pools the last position, of whatever text of the batch is longest."""
    tokenizer = clip_tokenizer()
    texts = {"vocab_size": len(tokenizer), "max_position_embeddings": 20, "projection_size": 32, **SMALL}
    ends = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
    config = SiglipConfig(text_config=texts | ends, vision_config={"image_size": 16, "patch_size": 8, **SMALL})
    torch.manual_seed(0)
    SiglipModel(config).save_pretrained(tmp_path / "siglip")
    images = SiglipImageProcessor(size={"height": 16, "width": 16})
    SiglipProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(tmp_path / "siglip")
    original = SentenceTransformer(str(tmp_path / "siglip"), device="cpu")
    alone, together = original.encode(["a cat"]), original.encode(["a cat", "a photo of two dogs in the rain"])
    assert abs(alone[0] - together[0]).max() > 1e-3
    with pytest.raises(CheckpointError, match=r"is a SiglipModel, whose text side ends without a text_projection"):
        embedrt_export.export(str(tmp_path / "siglip"), tmp_path / "out", quiet=True)


def _byt5() -> tuple[Any, Any]:
    tokenizer = ByT5Tokenizer(model_max_length=48)
    config = T5Config(vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4)
    return T5EncoderModel(config), tokenizer


def _canine() -> tuple[Any, Any]:
    sizes = {**SMALL, "num_hash_buckets": 64, "max_position_embeddings": 64, "local_transformer_stride": 16}
    return CanineModel(CanineConfig(**sizes)), CanineTokenizer(model_max_length=48)


@pytest.mark.parametrize("make", [_byt5, _canine])
def test_a_tokenizer_in_python_alone(
    make: Callable[[], tuple[Any, Any]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Refused before the model reads a text; CANINE fails at short ones."""
    for part in make():
        part.save_pretrained(tmp_path / "plain")
    with pytest.raises(
        CheckpointError, match=r"^plain has a (ByT5|Canine)Tokenizer, which runs in Python only: a check"
    ):
        embedrt_export.export(str(tmp_path / "plain"), tmp_path / "out", pooling=["mean"])
    told = capfd.readouterr().err
    assert ("load" in told, "reference" in told) == (True, False)


def test_vectors_that_are_wider_than_the_checkpoint_says(tmp_path: Path) -> None:
    tokenizer = small_tokenizer("unigram", max_length=48)
    places = {"axial_pos_shape": (8, 8), "axial_pos_embds_dim": (16, 16), "max_position_embeddings": 64}
    sizes = {"hidden_size": 32, "attention_head_size": 8, "feed_forward_size": 64, "num_attention_heads": 4}
    chunks = {"attn_layers": ["local"], "local_attn_chunk_length": 8, "is_decoder": False}
    config = ReformerConfig(vocab_size=len(tokenizer), pad_token_id=0, **sizes, **places, **chunks)
    for part in (ReformerModel(config), tokenizer):
        part.save_pretrained(tmp_path / "plain")
    with pytest.raises(
        CheckpointError, match=r"^ReformerModel gives vectors of 64 components, and the checkpoint says 32"
    ):
        embedrt_export.export(str(tmp_path / "plain"), tmp_path / "out", pooling=["mean"], quiet=True)


def test_a_model_of_images_is_named_as_such(tmp_path: Path) -> None:
    config = ViTConfig(image_size=16, patch_size=8, **SMALL)
    ViTModel(config).save_pretrained(tmp_path / "vit")
    ViTImageProcessor().save_pretrained(tmp_path / "vit")
    modules = [Transformer(str(tmp_path / "vit")), Pooling(32)]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "checkpoint"))
    with pytest.raises(CheckpointError, match="the checkpoint reads image, not text: the exporter takes text encoders"):
        embedrt_export.export(str(tmp_path / "checkpoint"), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()
