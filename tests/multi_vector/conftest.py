"""Small random late-interaction checkpoints, saved by sentence-transformers itself or laid out as older libraries do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from embedrt_bench.compatibility.multi_vector import save_bge_m3
from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from torch import nn
from transformers import BertConfig, BertModel, BertTokenizer

WORDS = [
    *("how", "do", "i", "reset", "my", "password", "the", "cat", "sleeps", "on", "roof"),
    *("##s", "##ing", "a", "use", "link", ".", "?", ",", "!", ":", "hello", "world", "man", "is", "playing", "guitar"),
    *"忘记密码怎么办猫在屋顶上睡觉",
]
HIDDEN, DIM = 32, 16
EXPANSION = {"strategy": "fixed", "attend": False, "length": 12}

Build = Callable[..., Path]


def _stirred(model: Any) -> Any:
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return model


def _save_bert(folder: Path) -> Path:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]", *WORDS]
    tokenizer = BertTokenizer(vocab={piece: index for index, piece in enumerate(vocabulary)}, model_max_length=40)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    _stirred(BertModel(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _projection() -> Dense:
    torch.manual_seed(1)
    return Dense(HIDDEN, DIM, bias=False, activation_function=nn.Identity(), module_input_name="token_embeddings")


@pytest.fixture(scope="session")
def plain_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save_bert(tmp_path_factory.mktemp("plain") / "bert")


@pytest.fixture(scope="session")
def build_colbert(tmp_path_factory: pytest.TempPathFactory, plain_bert: Path) -> Build:
    """Builds a MultiVectorEncoder checkpoint of the plain BERT; settings are those of its Transformer and its mask."""

    def build(
        *,
        mask: MultiVectorMask | None = None,
        modules: list[Any] | None = None,
        prompts: dict[str, str] | None = None,
        similarity: str | None = None,
        **settings: Any,
    ) -> Path:
        folder = tmp_path_factory.mktemp("checkpoint") / "colbert"
        if modules is None:
            modules = [_projection(), mask or MultiVectorMask([".", "?", ",", "!", ":"])]
            modules.append(Normalize(module_input_name="token_embeddings"))
        MultiVectorEncoder(
            modules=[Transformer(str(plain_bert), **settings), *modules],
            prompts=prompts or {"query": "[unused0] ", "document": "[unused1] "},
            similarity_fn_name=similarity,
            device="cpu",
        ).save(str(folder))
        return folder

    return build


@pytest.fixture(scope="session")
def colbert(build_colbert: Build) -> Path:
    """Expanded queries that attention does not see, long documents, punctuation skipped."""
    return build_colbert(query_expansion=EXPANSION, document_length=30)


@pytest.fixture(scope="session")
def artifact(colbert: Path, export_to: Build) -> Path:
    return export_to(colbert)


@pytest.fixture(scope="session")
def stanford(tmp_path_factory: pytest.TempPathFactory, plain_bert: Path) -> Path:
    """As Stanford's ColBERT saves it: the projection among the transformer's weights, and artifact.metadata."""
    folder = tmp_path_factory.mktemp("stanford") / "colbertv2"
    folder.mkdir()
    for path in plain_bert.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    weights = {f"bert.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    torch.manual_seed(2)
    save_file({**weights, "linear.weight": torch.randn(DIM, HIDDEN)}, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["HF_ColBERT"]}))
    metadata = {"query_maxlen": 16, "doc_maxlen": 36, "attend_to_mask_tokens": False, "mask_punctuation": True}
    markers = {"query_token_id": "[unused0]", "doc_token_id": "[unused1]"}
    (folder / "artifact.metadata").write_text(json.dumps({**metadata, **markers}))
    return folder


@pytest.fixture(scope="session")
def pylate(tmp_path_factory: pytest.TempPathFactory, plain_bert: Path) -> Build:
    """As PyLate saves it: a transformer, a Dense of its own, and what it does in config_sentence_transformers.json."""

    def build(**settings: Any) -> Path:
        folder = tmp_path_factory.mktemp("pylate") / "pylate"
        Transformer(str(plain_bert), max_seq_length=36).save(str(folder))
        (folder / "1_Dense").mkdir()
        torch.manual_seed(3)
        save_file({"linear.weight": torch.randn(DIM, HIDDEN)}, folder / "1_Dense" / "model.safetensors")
        dense = {"in_features": HIDDEN, "out_features": DIM, "bias": False}
        identity = {"activation_function": "torch.nn.modules.linear.Identity"}
        (folder / "1_Dense" / "config.json").write_text(json.dumps({**dense, **identity}))
        modules = [("", "sentence_transformers.models.Transformer"), ("1_Dense", "pylate.models.Dense.Dense")]
        listed = [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(modules)]
        (folder / "modules.json").write_text(json.dumps(listed))
        config = {
            "query_prefix": "[unused0] ",
            "document_prefix": "[unused1] ",
            "query_length": 14,
            "document_length": 30,
        }
        own = {"attend_to_expansion_tokens": False, "skiplist_words": [".", "?"], **settings}
        (folder / "config_sentence_transformers.json").write_text(json.dumps({**config, **own}))
        return folder

    return build


@pytest.fixture(scope="session")
def hybrid_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bge_m3(tmp_path_factory.mktemp("checkpoint") / "bge-m3")


@pytest.fixture(scope="session")
def hybrid_artifact(hybrid_checkpoint: Path, export_to: Build) -> Path:
    return export_to(hybrid_checkpoint)
