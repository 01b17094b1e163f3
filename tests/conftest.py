"""Tiny artifacts for every test of the runtime, built without PyTorch, and their arithmetic again in numpy.

The graph is a word embedding, a tanh layer, mean pooling as a matrix product and normalization: 200 words of
width 8. Its weights come from a seed, so ``reference`` computes the vectors without reading the graph.
"""

import functools
import gc
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported: a mistyped folder must not ask the Hub

from embedrt import SentenceEncoder
from embedrt.artifact.manifest import (
    MANIFEST_FILE,
    METADATA_KEY,
    FileRecord,
    Manifest,
    Parity,
    Serving,
    Source,
    Variant,
    serving_to_json,
)
from embedrt.cli import main

WIDTH = 8
ROWS = 200  # 6400 bytes of word embeddings: enough for graphfile to map them
MAX_LENGTH = 16
WORDS = [
    *("how", "do", "i", "reset", "my", "password", "where", "is", "the", "invoice", "query", "passage"),
    *("a", "cat", "sat", "on", "mat", "hello", "world", "!", "?", ":", ".", ","),
]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *"忘记密码怎么办你好世界猫", "##s", "##ing", "##ed"]


def pytest_collection_finish() -> None:
    """What all test files have imported is no garbage: to look through it again and again took an eighth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture(autouse=True)
def _same_random_weights() -> None:
    """Every test starts from one seed of PyTorch, where a test has imported it: a failure can be repeated."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True)
def _operators_are_read_once() -> None:
    """torch.onnx parses its operator library anew at every export: half a second of 3.5, of a small model."""
    registration = sys.modules.get("torch.onnx._internal.exporter._registration")
    library = getattr(registration, "onnxscript_apis", None)
    if library is not None and not hasattr(library.get_torchlib_ops, "cache_info"):
        library.get_torchlib_ops = functools.cache(library.get_torchlib_ops)


def _write_tokenizer(folder: Path, *, template: str = "[CLS] $A [SEP]", max_length: int | None = MAX_LENGTH) -> Path:
    """A WordPiece tokenizer.json with truncation and (unwanted) padding baked in."""
    ids = {token: index for index, token in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordPiece(vocab=ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [(token, ids[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    if max_length is not None:
        tokenizer.enable_truncation(max_length)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def _weights(seed: int, rows: int) -> dict[str, npt.NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    shapes = {"words": (rows, WIDTH), "types": (2, WIDTH), "mixing": (WIDTH, WIDTH)}
    return {name: random.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def _write_graph(
    path: Path,
    *,
    seed: int = 0,
    rows: int = ROWS,
    token_embeddings: bool = False,
    pooling_mask: bool = False,
    token_type_ids: bool = False,
    stated_width: int | str = WIDTH,
    serving: Serving | None = None,
) -> Path:
    """The tiny sentence encoder as an .onnx file; with ``serving`` its metadata says how to serve it."""
    node = helper.make_node
    nodes = [node("Gather", ["words", "input_ids"], ["embedded"])]
    if token_type_ids:
        nodes += [
            node("Gather", ["types", "token_type_ids"], ["type"]),
            node("Add", ["embedded", "type"], ["summed"]),
        ]
    nodes += [
        node("MatMul", ["summed" if token_type_ids else "embedded", "mixing"], ["mixed"]),
        node("Tanh", ["mixed"], ["token_embeddings"]),
        node("Cast", ["pooling_mask" if pooling_mask else "attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("ReduceSum", ["mask", "last"], ["total"], keepdims=1),
        node("Max", ["total", "least"], ["count"]),
        node("Div", ["mask", "count"], ["share"]),
        node("Unsqueeze", ["share", "middle"], ["shares"]),
        node("MatMul", ["shares", "token_embeddings"], ["means"]),
        node("Squeeze", ["means", "middle"], ["pooled"]),
        node("ReduceL2", ["pooled", "last"], ["length"], keepdims=1),
        node("Max", ["length", "least"], ["divisor"]),
        node("Div", ["pooled", "divisor"], ["sentence_embedding"]),
    ]
    names = ["input_ids", "attention_mask"]
    names += ["pooling_mask"] * pooling_mask + ["token_type_ids"] * token_type_ids
    constants: dict[str, npt.NDArray[Any]] = {
        **_weights(seed, rows),
        "least": np.array([1e-9], dtype=np.float32),
        "last": np.array([-1]),
        "middle": np.array([1]),
    }
    shapes: dict[str, list[int | str]] = {"sentence_embedding": ["batch", stated_width]}
    if token_embeddings:
        shapes["token_embeddings"] = ["batch", "sequence", WIDTH]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in names],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    if serving is not None:
        helper.set_model_props(model, {METADATA_KEY: serving_to_json(serving)})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def _write_artifact(
    folder: Path,
    *,
    variants: Mapping[str, Mapping[str, Any]] | None = None,
    serving: Mapping[str, Any] | None = None,
    tokenizer: Mapping[str, Any] | None = None,
    **graph: Any,
) -> Path:
    """A whole artifact; ``graph`` and each variant's own mapping are options of :func:`_write_graph`."""
    _write_tokenizer(folder, **(tokenizer or {}))
    described = {}
    for name, options in (variants or {"fp32": {}}).items():
        file = "onnx/model.onnx" if name == "fp32" else f"onnx/model_{name}.onnx"
        _write_graph(folder / file, **{**graph, **options})
        described[name] = Variant(file=file, precision=name, opset=23, attention="operator", parity=PARITY)
    manifest = Manifest(
        serving=Serving(**{"dimension": WIDTH, "max_seq_length": MAX_LENGTH, "normalize": True, **(serving or {})}),
        source=Source(model="tests/tiny"),
        default_variant=next(iter(described)),
        variants=described,
        files={
            path.relative_to(folder).as_posix(): FileRecord(
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(), bytes=path.stat().st_size
            )
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    )
    (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    return folder


PARITY = Parity(
    reference="numpy",
    runtime="onnxruntime",
    texts=1,
    batch_sizes=(1,),
    max_abs_difference=0.0,
    cosine_mean=1.0,
    cosine_p01=1.0,
    cosine_min=1.0,
)


def _reference(
    folder: Path, texts: Sequence[str], *, seed: int = 0, rows: int = ROWS, skip: int = 0, types: bool = False
) -> npt.NDArray[np.float32]:
    """What the tiny graph gives for ``texts``, (n, 8); the first ``skip`` tokens are not pooled."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    weights = {name: value.astype(np.float64) for name, value in _weights(seed, rows).items()}
    vectors = np.empty((len(texts), WIDTH))
    for index, text in enumerate(texts):
        ids = tokenizer.encode(text).ids
        hidden = np.tanh((weights["words"][ids] + (weights["types"][0] if types else 0)) @ weights["mixing"])
        pooled = hidden[skip:].mean(axis=0)
        vectors[index] = pooled / np.sqrt(np.square(pooled).sum())
    return vectors.astype(np.float32)


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def _run_python(code: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """``code`` in a fresh interpreter, which has ``arguments`` in sys.argv."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def _edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Rewrite embedrt.json after ``change`` has had its way with it."""
    content = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    change(content)
    (folder / MANIFEST_FILE).write_text(json.dumps(content), encoding="utf-8")


# Test modules cannot import this file, so each of its functions is handed out by a fixture of its own name.


@pytest.fixture(scope="session")
def write_tokenizer() -> Callable[..., Path]:
    return _write_tokenizer


@pytest.fixture(scope="session")
def write_graph() -> Callable[..., Path]:
    return _write_graph


@pytest.fixture(scope="session")
def write_artifact() -> Callable[..., Path]:
    return _write_artifact


@pytest.fixture(scope="session")
def reference() -> Callable[..., npt.NDArray[np.float32]]:
    return _reference


@pytest.fixture(scope="session")
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    return _run_python


@pytest.fixture(scope="session")
def edit_manifest() -> Callable[..., None]:
    return _edit_manifest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact that tests only read."""
    return _write_artifact(tmp_path_factory.mktemp("artifacts") / "tiny")


@pytest.fixture(scope="session")
def encoder(tiny: Path) -> Iterator[SentenceEncoder]:
    """An encoder on :func:`tiny` that tests share."""
    with SentenceEncoder(tiny, threads=2) as shared:
        yield shared


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """``embedrt`` with these arguments, and how it ended."""
    monkeypatch.setenv("COLUMNS", "200")

    def start(*arguments: str | Path, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "argv", ["embedrt", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return Ended(int(ended.value.code or 0), shown.out, shown.err)

    return start


@pytest.fixture(scope="session")
def export_to(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Exports a checkpoint to a folder of its own, quietly, with any options of ``embedrt_export.export``."""
    import embedrt_export  # PyTorch is loaded where a test exports

    def export(checkpoint: Path, **options: Any) -> Path:
        out = tmp_path_factory.mktemp("artifact") / "out"
        embedrt_export.export(str(checkpoint), out, quiet=True, **options)
        return out

    return export
