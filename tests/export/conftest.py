"""Small random checkpoints of real architectures, saved by sentence-transformers itself, and one layer as a graph."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import BertConfig, BertModel, BertTokenizer, MPNetConfig, MPNetModel, MPNetTokenizer

WORDS = (
    *("how", "do", "i", "reset", "my", "password", "the", "cat"),
    *("sleeps", "on", "roof", "##s", "##ing", "a", ".", "?"),
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
    """An architecture that adds a position bias to its scores, in attention code of its own."""
    plain, folder = tmp_path_factory.mktemp("plain") / "mpnet", tmp_path_factory.mktemp("checkpoint") / "mpnet"
    _save_mpnet(plain)
    SentenceTransformer(modules=[Transformer(str(plain)), Pooling(WIDTH)], device="cpu").save(str(folder))
    return folder


LAYER = """
layer (float[batch,sequence,8] tokens, int64[batch,sequence] attention_mask) => (float[batch,8] vectors) {
    seen = Cast<to = 1>(attention_mask)
    unseen = Sub(one, seen)
    added = Mul(unseen, far)
    rows = Unsqueeze(added, heads)
    texts = Shape<start = 0, end = 1>(attention_mask)
    length = Shape<start = 1, end = 2>(attention_mask)
    square = Concat<axis = 0>(texts, middle, length, length)
    masks = Expand(rows, square)
    hidden = Tanh(tokens)
    query_product = MatMul(hidden, w_query)
    query = Add(query_product, b_query)
    key_product = MatMul(hidden, w_key)
    key = Add(key_product, b_key)
    value_product = MatMul(hidden, w_value)
    value = Add(b_value, value_product)
    attended = Attention<q_num_heads = 2, kv_num_heads = 2>(query, key, value, masks)
    projected_product = MatMul(attended, w_projected)
    projected = Add(projected_product, b_projected)
    sum = Add(projected, hidden)
    norm = LayerNormalization<axis = -1>(sum, b_scale, b_shift)
    up_product = MatMul(norm, w_up)
    up = Add(up_product, b_up)
    gelu = Gelu(up)
    down_product = MatMul(gelu, w_down)
    down = Add(down_product, b_down)
    last = Add(down, norm)
    count = CumSum(attention_mask, middle)
    first = Equal(count, middle)
    pooled = Equal(attention_mask, middle)
    both = And(first, pooled)
    chosen = Cast<to = 1>(both)
    selection = Unsqueeze(chosen, middle)
    token = MatMul(selection, last)
    vectors = Squeeze(token, middle)
}
"""
"""One layer behind its hidden states, width 8, 2 heads, first token pooled: what the tracer writes, less the embeddings."""

MaskedRun = Callable[[onnx_ir.Model], dict[str, np.ndarray]]


@pytest.fixture(scope="session")
def layer_graph() -> Callable[..., onnx_ir.Model]:
    """Builds the layer with lines replaced by what they compute: ``layer_graph(gelu="gelu = Relu(up)")``."""

    def build(*, inputs: str = "", outputs: str = "", length: str = "sequence", **lines: str) -> onnx_ir.Model:
        text = LAYER.replace("attention_mask) =>", f"attention_mask{inputs}) =>").replace(
            "vectors) {", f"vectors{outputs}) {{"
        )
        for name, line in lines.items():
            text, found = re.subn(rf"^    {name} = .*$", f"    {line}", text, flags=re.MULTILINE)
            assert found == 1, name
        graph = onnx.parser.parse_graph(text.replace("sequence", length))
        graph.initializer.extend(_layer_weights(text))
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)
        return onnx_ir.from_proto(onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True))

    return build


def _layer_weights(text: str) -> list[onnx.TensorProto]:
    """Random matrices w_…, rows b_… and tables of a row a position p_…, of width 8, or as names end in half or double."""
    random = np.random.default_rng(0)
    names = sorted(set(re.findall(r"\b[wbp]_\w+", text)))
    shapes = {"w": (8, 8), "b": (8,), "p": (5, 8)}
    arrays: dict[str, np.ndarray] = {}
    for name in names:
        width = {"half": 4, "double": 16}.get(name.rpartition("_")[2], 8)
        arrays[name] = random.normal(scale=8**-0.5, size=(*shapes[name[0]][:-1], width)).astype(np.float32)
    arrays |= {"one": np.array(1, np.float32), "far": np.array(np.finfo(np.float32).min), "middle": np.array([1])}
    arrays |= {"heads": np.array([1, 2]), "minus": np.array([-1]), "start": np.array(0), "second": np.array(1)}
    arrays = {name: array for name, array in arrays.items() if re.search(rf"\b{name}\b", text)}
    return [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]


@pytest.fixture(scope="session")
def run_layer() -> MaskedRun:
    """Every output on 4 texts of 5 tokens: whole, padded right, padded left, one token."""

    def run(model: onnx_ir.Model) -> dict[str, np.ndarray]:
        session = onnxruntime.InferenceSession(
            onnx_ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
        )
        mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [0, 1, 0, 0, 0]])
        tokens = np.random.default_rng(1).normal(size=(4, 5, 8)).astype(np.float32)
        feed = {"tokens": tokens, "attention_mask": mask, "pooling_mask": mask[::-1]}
        names = [value.name for value in session.get_outputs()]
        given = {value.name: feed[value.name] for value in session.get_inputs()}
        return dict(zip(names, session.run(names, given), strict=True))

    return run
