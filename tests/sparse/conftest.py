"""Small random sparse encoders of real architectures, saved by sentence-transformers itself.

The logits of a random masked-LM head are above 0 for half of the vocabulary. A trained one leaves some dozens, so the decoder's
bias is lowered here until a text has about that many terms.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from embedrt_export.quantization import QuantizeOptions
from sentence_transformers import SparseEncoder as Original
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder, SparseStaticEmbedding, SpladePooling
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizer

WORDS = (
    *("how", "do", "i", "reset", "my", "password", "the", "cat", "sleeps", "on", "roof", "##s", "##ing", "a", ".", "?"),
    *("king", "##dom", "rain", "river", "is", "in", "of", "and", "was", "house", "light", "water", "stone", "tree"),
)
CHARACTERS = "忘记密码怎么办猫在屋顶上睡觉"
MADE_UP = [f"word{number}" for number in range(180)]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *CHARACTERS, *MADE_UP]
SIZES: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 64,
}  # fmt: skip
MAX_LENGTH = 24
Build = Callable[..., Path]


def tokenizer(max_length: int = 48) -> BertTokenizer:
    return BertTokenizer(vocab={piece: index for index, piece in enumerate(VOCABULARY)}, model_max_length=max_length)


def _stirred(model: Any) -> Any:
    """Weights of the size that training leaves, so that a mistake in any layer shows in the vectors."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return model


def _save_masked_lm(folder: Path) -> Path:
    torch.manual_seed(0)
    model = _stirred(BertForMaskedLM(BertConfig(vocab_size=len(VOCABULARY), **SIZES)))
    with torch.no_grad():
        model.cls.predictions.decoder.bias.sub_(2.0)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def masked_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with its masked-LM head, as transformers saves it."""
    return _save_masked_lm(tmp_path_factory.mktemp("plain") / "masked-lm")


@pytest.fixture(scope="session")
def build_splade(tmp_path_factory: pytest.TempPathFactory, masked_lm: Path) -> Build:
    """Builds a SPLADE checkpoint."""

    def build(
        strategy: Literal["max", "sum"] = "max", activation: Literal["relu", "log1p_relu"] = "relu", **options: Any
    ) -> Path:
        folder = tmp_path_factory.mktemp("checkpoint") / "splade"
        transformer = Transformer(str(masked_lm), transformer_task="fill-mask", max_seq_length=MAX_LENGTH)
        modules = [transformer, SpladePooling(strategy, activation)]
        Original(modules=modules, device="cpu", **options).save(str(folder))
        return folder

    return build


@pytest.fixture(scope="session")
def inference_free(tmp_path_factory: pytest.TempPathFactory, masked_lm: Path) -> Path:
    """Queries by fixed weights, documents by SPLADE."""
    folder = tmp_path_factory.mktemp("checkpoint") / "inference-free"
    torch.manual_seed(1)
    weights = torch.rand(len(VOCABULARY)) * 3 + 0.1  # of special tokens too, which queries are not given
    router = Router.for_query_document(
        query_modules=[SparseStaticEmbedding(tokenizer(max_length=12), weight=weights)],
        document_modules=[
            Transformer(str(masked_lm), transformer_task="fill-mask", max_seq_length=MAX_LENGTH), SpladePooling("max"),
        ],
    )  # fmt: skip
    Original(modules=[router], device="cpu", similarity_fn_name="dot").save(str(folder))
    return folder


@pytest.fixture(scope="session")
def auto_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dense encoder with a sparse auto-encoder behind it, which keeps 8 of 96 latents."""
    plain, folder = tmp_path_factory.mktemp("plain") / "bert", tmp_path_factory.mktemp("checkpoint") / "auto-encoder"
    torch.manual_seed(2)
    _stirred(BertModel(BertConfig(vocab_size=len(VOCABULARY), **SIZES))).save_pretrained(plain)
    tokenizer().save_pretrained(plain)
    width = SIZES["hidden_size"]
    module = _stirred(SparseAutoEncoder(width, 96, k=8, k_aux=16, normalize=True))
    Original(modules=[Transformer(str(plain), max_seq_length=MAX_LENGTH), Pooling(width), module], device="cpu").save(
        str(folder)
    )
    return folder


@pytest.fixture(scope="session")
def splade(build_splade: Build) -> Path:
    return build_splade()


@pytest.fixture(scope="session")
def splade_artifact(splade: Path, export_to: Build) -> Path:
    """:func:`splade` in float32 and both forms of int8."""
    options = QuantizeOptions(allow_below_gate=True)
    return export_to(splade, precisions=("int8", "int8-static"), quantize_options=options)


@pytest.fixture(scope="session")
def inference_free_artifact(inference_free: Path, export_to: Build) -> Path:
    return export_to(inference_free)


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Path], Path]:
    """Copies an artifact to where a test may change it."""
    return lambda artifact: Path(shutil.copytree(artifact, tmp_path / "copy"))
