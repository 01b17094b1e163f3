"""CLIP's text tower: the checkpoint reads images too, the artifact reads texts."""

import json
from pathlib import Path

import embedrt_export
import numpy as np
import onnx
import pytest
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPVisionConfig,
    PreTrainedTokenizerFast,
)

from embedrt import SentenceEncoder

ENDS = ("<|startoftext|>", "<|endoftext|>")
TEXTS = ["", "a photo of a cat", "忘记密码怎么办", "two dogs " * 60, "a", "a cat on the roof in the rain"]
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "projection_dim": 24,
}


def clip_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level pieces with a mark at the end of words, lowercase, as CLIP's."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, end_of_word_suffix="</w>", initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(["a photo of a cat", "two dogs in the rain", "the roof of a house"], trainer)
    content = json.loads(tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    vocabulary |= {name: len(vocabulary) + index for index, name in enumerate(ENDS)}  # the last ids, as CLIP's
    content["model"]["unk_token"] = ENDS[1]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens(list(ENDS))
    ends = [(name, tokenizer.token_to_id(name)) for name in ENDS]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>", special_tokens=ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=20, bos_token="<|startoftext|>", eos_token="<|endoftext|>",
        unk_token="<|endoftext|>", pad_token="<|endoftext|>",
    )  # fmt: skip


@pytest.fixture(scope="module", params=[False, True], ids=["last id ends a text", "eos_token_id"])
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP model saved by sentence-transformers; its text tower finds the end of a text in either of two ways."""
    folder = tmp_path_factory.mktemp("clip")
    tokenizer = clip_tokenizer()
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    ids = {"bos_token_id": end - 1, "eos_token_id": end if request.param else 2, "pad_token_id": end}
    text = CLIPTextConfig(vocab_size=len(tokenizer), max_position_embeddings=20, **SMALL, **ids)
    vision = CLIPVisionConfig(image_size=16, patch_size=8, **SMALL)
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=24))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    model.save_pretrained(folder / "plain")
    CLIPProcessor(image_processor=CLIPImageProcessor(), tokenizer=tokenizer).save_pretrained(folder / "plain")
    SentenceTransformer(str(folder / "plain"), device="cpu").save(str(folder / "checkpoint"))
    return folder / "checkpoint"


def test_the_text_tower(clip: Path, tmp_path: Path) -> None:
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
