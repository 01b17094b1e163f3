"""Folders as the Hub has them: a checkpoint that sentence-transformers saved, and an ONNX graph of its transformer alone."""

import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from embedrt_bench.engines.tracing import trace_transformer
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import BertConfig, BertModel, BertTokenizer

WIDTH = 32
WORDS = (
    *("how", "do", "i", "reset", "my", "password", "the", "cat"),
    *("sleeps", "on", "roof", "##s", "##ing", "a", ".", "?"),
)
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"忘记密码怎么办猫在屋顶上睡觉"]

Folder = Callable[..., Path]
Change = Callable[[onnx.ModelProto], object]


@pytest.fixture(scope="session")
def plain_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers, with weights of the size that training leaves."""
    folder = tmp_path_factory.mktemp("plain") / "tiny-bert"
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    model = BertModel(BertConfig(vocab_size=len(VOCABULARY), max_position_embeddings=64, **sizes))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    model.save_pretrained(folder)
    vocabulary = {piece: index for index, piece in enumerate(VOCABULARY)}
    BertTokenizer(vocab=vocabulary, model_max_length=48).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def transformer_file(tmp_path_factory: pytest.TempPathFactory, plain_bert: Path) -> Path:
    """The BERT's graph: ids, mask and token types to ``last_hidden_state``."""
    path = tmp_path_factory.mktemp("graphs") / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about its own deprecations
        trace_transformer(plain_bert, path)
    return path


@pytest.fixture(scope="session")
def save_checkpoint(tmp_path_factory: pytest.TempPathFactory, plain_bert: Path) -> Folder:
    """Saves the BERT with the given modules behind it."""

    def save(
        pooling: str | Sequence[str] = "mean",
        finish: Sequence[Any] = (),
        *,
        on_tokens: Sequence[Any] = (),
        width: int = WIDTH,
        include_prompt: bool = True,
        max_seq_length: int | None = 24,
        **options: Any,
    ) -> Path:
        folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
        mode = pooling if isinstance(pooling, str) else tuple(pooling)
        pooled = Pooling(width, pooling_mode=mode, include_prompt=include_prompt)
        modules = [Transformer(str(plain_bert), max_seq_length=max_seq_length), *on_tokens, pooled, *finish]
        SentenceTransformer(modules=modules, device="cpu", **options).save(str(folder))
        return folder

    return save


@pytest.fixture(scope="session")
def build_folder(save_checkpoint: Folder, transformer_file: Path) -> Folder:
    """The same, with the transformer's graph in onnx/, after ``change`` has had its way with that."""

    def build(*modules: Any, change: Change | None = None, **options: Any) -> Path:
        folder = save_checkpoint(*modules, **options)
        (folder / "onnx").mkdir()
        if change is None:
            shutil.copyfile(transformer_file, folder / "onnx/model.onnx")
        else:
            model = onnx.load(transformer_file)
            change(model)
            onnx.save(model, folder / "onnx/model.onnx")
        return folder

    return build


@pytest.fixture(scope="session")
def mean_folder(build_folder: Folder) -> Path:
    """Mean pooling and nothing else; tests only read it."""
    return build_folder("mean")


@pytest.fixture
def folder(mean_folder: Path, tmp_path: Path) -> Path:
    """A copy of :func:`mean_folder` to be damaged."""
    return shutil.copytree(mean_folder, tmp_path / "tiny")


@pytest.fixture(scope="session")
def quantized_folder(build_folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a float32 graph, and what ONNX Runtime's quantize_dynamic makes of it under the Hub's usual name."""
    torch.manual_seed(1)
    folder = build_folder(("mean", "max"), [Dense(2 * WIDTH, 12), Normalize()])
    quantize_dynamic(folder / "onnx/model.onnx", folder / "onnx/model_qint8_avx512_vnni.onnx")
    return folder


def _edit_json(path: Path, **changes: Any) -> None:
    """Set keys of the object in ``path``, or remove those that are None."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    content |= changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}), encoding="utf-8")


@pytest.fixture(scope="session")
def edit_json() -> Callable[..., None]:
    return _edit_json


def _handmade(
    path: Path,
    *,
    opset: int = 17,
    integers: int = TensorProto.INT64,
    token_types: bool = True,
    output: str = "last_hidden_state",
    floats: int = TensorProto.FLOAT,
    further_inputs: Sequence[str] = (),
    weights_are_inputs: bool = False,
) -> Path:
    """A transformer in name: embeddings through one layer, no attention, of the BERT's vocabulary and width."""
    random = np.random.default_rng(3)
    weights = {
        "words": random.normal(size=(len(VOCABULARY), WIDTH)),
        "types": random.normal(size=(2, WIDTH)),
        "inner": random.normal(size=(WIDTH, WIDTH)) * WIDTH**-0.5,
        "shift": random.normal(size=WIDTH),
    }
    number = helper.tensor_dtype_to_np_dtype(floats)
    node = helper.make_node
    nodes = [
        node("Gather", ["words", "input_ids"], ["word"]),
        *([node("Gather", ["types", "token_type_ids"], ["type"])] if token_types else []),
        node("Add", ["word", "type" if token_types else "shift"], ["embedded"]),
        node("MatMul", ["embedded", "inner"], ["product"]),
        node("Add", ["product", "shift"], ["sum"]),
        node("Tanh", ["sum"], [output]),
        node("Cast", ["attention_mask"], ["unread"], to=TensorProto.FLOAT),
    ]
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if token_types else []), *further_inputs]
    initializers = [numpy_helper.from_array(array.astype(number), name) for name, array in weights.items()]
    inputs = [helper.make_tensor_value_info(name, integers, ["batch", "sequence"]) for name in names]
    if weights_are_inputs:
        inputs += [helper.make_tensor_value_info(weight.name, floats, weight.dims) for weight in initializers]
    outputs = [helper.make_tensor_value_info(output, floats, ["batch", "sequence", WIDTH])]
    graph = helper.make_graph(nodes, "handmade", inputs, outputs, initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


@pytest.fixture(scope="session")
def handmade() -> Callable[..., Path]:
    return _handmade


def _with_vectors(path: Path, *, factor: float = 1.0, tokens: bool = True) -> Path:
    """Let the graph give ``sentence_embedding`` too: the mean over unpadded tokens, ``factor`` times."""
    model = onnx.load(path)
    nodes = [
        helper.make_node("Cast", ["attention_mask"], ["seen"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["seen", "middle"], ["row"]),
        helper.make_node("MatMul", ["row", "last_hidden_state"], ["total"]),
        helper.make_node("ReduceSum", ["row", "last"], ["count"], keepdims=1),
        helper.make_node("Div", ["total", "count"], ["mean"]),
        helper.make_node("Squeeze", ["mean", "middle"], ["plain"]),
        helper.make_node("Mul", ["plain", "factor"], ["sentence_embedding"]),
    ]
    model.graph.node.extend(nodes)
    constants = {"middle": np.array([1]), "last": np.array([-1]), "factor": np.array(factor, np.float32)}
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    if not tokens:
        del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", WIDTH]))
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def with_vectors() -> Callable[..., Path]:
    return _with_vectors
