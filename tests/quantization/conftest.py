"""A tiny transformer as an artifact, built without PyTorch, and the same with its quantized variants."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir
import onnxruntime
import pytest
from embedrt_export.quantization import PRECISIONS, QuantizeOptions, quantize, search
from embedrt_export.quantization.calibration import calibration_texts, held_out_texts
from embedrt_export.quantization.rounding import to_nearest
from embedrt_export.quantization.scheme import Scheme, Setting, Static
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from embedrt.artifact.manifest import (
    MANIFEST_FILE,
    METADATA_KEY,
    FileRecord,
    Manifest,
    Parity,
    Serving,
    Source,
    Variant,
)
from embedrt.artifact.manifest import serving_to_json as to_json

Floats = npt.NDArray[np.float32]
WIDTH, INNER, HEADS, LENGTH, SCALE = 32, 64, 4, 24, 0.4
PARITY = Parity(
    reference="itself",
    runtime="onnxruntime",
    texts=1,
    batch_sizes=(1,),
    max_abs_difference=0.0,
    cosine_mean=1.0,
    cosine_p01=1.0,
    cosine_min=1.0,
)
SERVING = Serving(dimension=WIDTH, max_seq_length=LENGTH, normalize=True)


def _save_tokenizer(folder: Path) -> int:
    """A tokenizer of single characters; gives the number of its entries."""
    characters = sorted(set("".join([*calibration_texts(None), *held_out_texts()]).lower()) - {" "})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *characters, *(f"##{character}" for character in characters)]
    tokenizer = Tokenizer(
        models.WordPiece(vocab={piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return len(pieces)


def _constants(entries: int, seed: int) -> dict[str, npt.NDArray[Any]]:
    random = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"words": (entries, WIDTH), "up": (WIDTH, INNER), "down": (INNER, WIDTH)}
    shapes |= dict.fromkeys(("query", "key", "value", "output", "project", "other", "dense"), (WIDTH, WIDTH))
    shapes |= {f"{name}.bias": (shapes[name][1],) for name in ("query", "key", "value", "output", "up", "down")}
    shapes |= {f"norm{index}.bias": (WIDTH,) for index in range(3)}
    constants: dict[str, npt.NDArray[Any]] = {
        name: (random.normal(size=shape) * SCALE).astype(np.float32) for name, shape in sorted(shapes.items())
    }
    constants["words"] *= 1 / SCALE
    for index in range(3):
        constants[f"norm{index}.weight"] = random.uniform(0.5, 2, WIDTH).astype(np.float32)
    scalars: dict[str, npt.NDArray[Any]] = {
        "one": np.array(1, np.float32),
        "far": np.array(-1e9, np.float32),
        "least": np.array([1e-9], dtype=np.float32),
    }
    return constants | scalars | {"last": np.array([-1]), "middle": np.array([1]), "heads": np.array([1, 2])}


def _nodes() -> list[Any]:
    """One layer behind its normalization, two more products, mean pooling, one product behind it, length 1."""
    node = helper.make_node

    def linear(source: str, name: str, *, bias: bool = True) -> list[Any]:
        product = node("MatMul", [source, name], [f"{name}.product" if bias else f"{name}.result"])
        return [product, node("Add", [f"{name}.product", f"{name}.bias"], [f"{name}.result"])][: 1 + bias]

    def norm(source: str, index: int) -> Any:
        names = [source, f"norm{index}.weight", f"norm{index}.bias"]
        return node("LayerNormalization", names, [f"norm{index}"], axis=-1, epsilon=1e-12, stash_type=1)

    return [
        node("Gather", ["words", "input_ids"], ["embedded"]),
        norm("embedded", 0),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Sub", ["one", "mask"], ["hidden_from"]),
        node("Mul", ["hidden_from", "far"], ["added"]),
        node("Unsqueeze", ["added", "heads"], ["attention_bias"]),
        *linear("norm0", "query"),
        *linear("norm0", "key"),
        *linear("norm0", "value"),
        node("Shape", ["input_ids"], ["rows"], start=0, end=1),
        node("Shape", ["input_ids"], ["columns"], start=1, end=2),
        node("Concat", ["rows", "middle", "columns", "columns"], ["square"], axis=0),
        node("Expand", ["attention_bias", "square"], ["attention_biases"]),
        node(
            "Attention",
            ["query.result", "key.result", "value.result", "attention_biases"],
            ["attended"],
            q_num_heads=HEADS,
            kv_num_heads=HEADS,
        ),
        *linear("attended", "output"),
        node("Add", ["output.result", "norm0"], ["sum1"]),
        norm("sum1", 1),
        *linear("norm1", "up"),
        node("Gelu", ["up.result"], ["gelu"]),
        *linear("gelu", "down"),
        node("Add", ["down.result", "norm1"], ["sum2"]),
        norm("sum2", 2),
        *linear("norm2", "project", bias=False),
        node("Tanh", ["project.result"], ["tanh"]),
        *linear("tanh", "other", bias=False),
        node("ReduceSum", ["mask", "last"], ["total"], keepdims=1),
        node("Max", ["total", "least"], ["count"]),
        node("Div", ["mask", "count"], ["share"]),
        node("Unsqueeze", ["share", "middle"], ["shares"]),
        node("MatMul", ["shares", "other.result"], ["means"]),
        node("Squeeze", ["means", "middle"], ["pooled"]),
        *linear("pooled", "dense", bias=False),
        node("ReduceL2", ["dense.result", "last"], ["length"], keepdims=1),
        node("Max", ["length", "least"], ["divisor"]),
        node("Div", ["dense.result", "divisor"], ["sentence_embedding"]),
    ]


def _save_graph(path: Path, constants: dict[str, npt.NDArray[Any]]) -> None:
    texts = ["batch", "sequence"]
    graph = helper.make_graph(
        _nodes(),
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, texts) for name in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", WIDTH])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: to_json(SERVING)})
    path.parent.mkdir(parents=True)
    onnx.save(onnx.shape_inference.infer_shapes(model, strict_mode=True), path)


def _write_transformer(
    folder: Path, *, seed: int = 0, change: Callable[[dict[str, npt.NDArray[Any]]], object] | None = None
) -> Path:
    """A whole artifact; ``change`` may have its way with the weights."""
    folder.mkdir(parents=True)
    constants = _constants(_save_tokenizer(folder), seed)
    if change is not None:
        change(constants)
    _save_graph(folder / "onnx/model.onnx", constants)
    manifest = Manifest(
        serving=SERVING,
        source=Source(model="tests/transformer"),
        default_variant="fp32",
        variants={
            "fp32": Variant(file="onnx/model.onnx", precision="fp32", opset=23, attention="operator", parity=PARITY)
        },
        files={
            name: FileRecord(
                sha256=hashlib.sha256((folder / name).read_bytes()).hexdigest(), bytes=(folder / name).stat().st_size
            )
            for name in ("onnx/model.onnx", "tokenizer.json")
        },
    )
    (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def write_transformer() -> Callable[..., Path]:
    return _write_transformer


@pytest.fixture(scope="session")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The float32 artifact; tests only read it."""
    return _write_transformer(tmp_path_factory.mktemp("artifacts") / "transformer")


@pytest.fixture
def copied(transformer: Path, tmp_path: Path) -> Path:
    """A copy to write into."""
    return shutil.copytree(transformer, tmp_path / "artifact")


@pytest.fixture
def graph(transformer: Path) -> onnx_ir.Model:
    """The float32 graph, to be changed freely."""
    return onnx_ir.load(transformer / "onnx/model.onnx")


@pytest.fixture
def one_setting() -> Iterator[None]:
    """The search has nothing to choose from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "SETTINGS", (Setting(0.7, 100.0),))
        yield


@pytest.fixture(scope="session")
def quantized(transformer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact with every variant, made with one setting; tests only read it."""
    folder = shutil.copytree(transformer, tmp_path_factory.mktemp("artifacts") / "quantized")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "SETTINGS", (Setting(0.7, 100.0),))
        for precision in PRECISIONS:
            quantize(folder, precision, options=QuantizeOptions(gate=0.9), quiet=True)
    return folder


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file, hidden ones too, and every folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="session")
def hashes() -> Callable[[Path], dict[str, str]]:
    return _hashes


def _one_product(
    before: str, constants: dict[str, npt.NDArray[Any]], *, outputs: str = "z", width: int = 24
) -> onnx_ir.Model:
    """``z`` from the activations ``x`` (batch, sequence, 24); the ids only tell batch and sequence."""
    shapes = ", ".join(f"float[batch, sequence, {'n' if name == 'z' else width}] {name}" for name in outputs.split())
    text = (
        '<ir_version: 10, opset_import: ["" : 23]>\n'
        f"g (int64[batch, sequence] ids, float[batch, sequence, 24] x) => ({shapes}) {{ {before} }}"
    )
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return onnx_ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True))


@pytest.fixture(scope="session")
def one_product() -> Callable[..., onnx_ir.Model]:
    return _one_product


def _run_graph(model: onnx_ir.Model, x: Floats, *, optimized: bool = True) -> list[Floats]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    proto = onnx_ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(proto, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {"ids": np.zeros(x.shape[:2], dtype=np.int64), "x": x}))


@pytest.fixture(scope="session")
def run_graph() -> Callable[..., list[Floats]]:
    """The outputs of a graph of ``one_product`` for ``x``."""
    return _run_graph


@pytest.fixture(scope="session")
def draw() -> Callable[..., Floats]:
    """Normal numbers by seed and shape."""
    return lambda seed, *shape: np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _emulated(x: Floats, scheme: Scheme, weight: Floats, bias: Floats, limit: int) -> Floats:
    """The scheme step by step: integers are summed as integers, everything else in float32."""
    balanced = weight * scheme.smoothing[:, None]
    order = slice(None) if scheme.order is None else scheme.order
    placed, t = to_nearest(balanced[order], limit)
    whole = np.empty_like(placed, dtype=np.int32)
    whole[order] = placed
    x = x * (np.float32(1) / scheme.smoothing)
    kind = scheme.activations
    if isinstance(kind, Static):
        s = np.full((*x.shape[:2], 1), kind.scale, dtype=np.float32)
    elif kind.floor is None:
        s = np.maximum(np.abs(x).max(axis=2, keepdims=True), np.float32(1e-12)) * np.float32(1 / 127)
    else:
        s = np.maximum(x.max(axis=2, keepdims=True), np.float32(kind.floor)) * np.float32(1 / (255 - kind.zero_point))
    codes = np.clip(np.rint(x / s).astype(np.int64) + kind.zero_point, 0, 255) - kind.zero_point
    return np.asarray((codes @ whole).astype(np.float32) * s * t + bias, dtype=np.float32)


@pytest.fixture(scope="session")
def emulated() -> Callable[[Floats, Scheme, Floats, Floats, int], Floats]:
    """A product in int8 as numpy computes it."""
    return _emulated
