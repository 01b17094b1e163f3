"""Small random checkpoints of real architectures, saved by sentence-transformers itself."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import BertConfig, BertModel, BertTokenizer, MPNetConfig, MPNetModel, MPNetTokenizer

WORDS = (
    "how",
    "do",
    "i",
    "reset",
    "my",
    "password",
    "the",
    "cat",
    "sleeps",
    "on",
    "roof",
    "##s",
    "##ing",
    "a",
    ".",
    "?",
)
CHARACTERS = "忘记密码怎么办猫在屋顶上睡觉"
WIDTH = 32
SIZES = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}

Build = Callable[..., Path]


def _save_bert(folder: Path) -> None:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *CHARACTERS]
    tokenizer = BertTokenizer(vocab={piece: index for index, piece in enumerate(vocabulary)}, model_max_length=48)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **SIZES)
    _stirred(BertModel(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _save_mpnet(folder: Path) -> None:
    vocabulary = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>", *WORDS, *CHARACTERS]
    tokenizer = MPNetTokenizer(vocab={piece: index for index, piece in enumerate(vocabulary)}, model_max_length=48)
    torch.manual_seed(0)
    config = MPNetConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **SIZES)
    _stirred(MPNetModel(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _stirred(model: Any) -> Any:
    """Weights of the size that training leaves, so that a mistake in any layer shows in the vectors."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return model


@pytest.fixture(scope="session")
def plain_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT that transformers saved, without any sentence-transformers file."""
    folder = tmp_path_factory.mktemp("plain") / "tiny-bert"
    _save_bert(folder)
    return folder


@pytest.fixture(scope="session")
def build_checkpoint(tmp_path_factory: pytest.TempPathFactory, plain_bert: Path) -> Build:
    """Builds a sentence-transformers checkpoint of the plain BERT and the given modules."""

    def build(
        pooling: str | Sequence[str] = "mean",
        finish: Sequence[Any] = (),
        *,
        include_prompt: bool = True,
        **options: Any,
    ) -> Path:
        folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
        pooled = Pooling(
            WIDTH, pooling_mode=pooling if isinstance(pooling, str) else tuple(pooling), include_prompt=include_prompt
        )
        torch.manual_seed(1)
        modules = [Transformer(str(plain_bert), max_seq_length=24), pooled, *finish]
        SentenceTransformer(modules=modules, device="cpu", **options).save(str(folder))
        return folder

    return build


@pytest.fixture(scope="session")
def tiny_checkpoint(build_checkpoint: Build) -> Path:
    """BERT, mean pooling, normalize."""
    return build_checkpoint("mean", [Normalize()])


@pytest.fixture(scope="session")
def mpnet_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An architecture whose position bias the attention operator does not get."""
    plain, folder = tmp_path_factory.mktemp("plain") / "mpnet", tmp_path_factory.mktemp("checkpoint") / "mpnet"
    _save_mpnet(plain)
    SentenceTransformer(modules=[Transformer(str(plain)), Pooling(WIDTH)], device="cpu").save(str(folder))
    return folder
