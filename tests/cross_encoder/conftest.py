"""A tiny cross-encoder built without PyTorch, and its arithmetic again in numpy; look-alikes of real ones, exported once.

The tiny graph: word embeddings, a row for the text that a token is of, tanh, the mean of all tokens, a linear head.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from embedrt_bench.compatibility.cross_encoders import save_cross_encoder
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, processors

from embedrt import CrossEncoder
from embedrt.artifact.kinds import Reranking
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
from embedrt.artifact.manifest import serving_to_json as as_json

WIDTH, ROWS, MAX_LENGTH = 8, 200, 16
PAIR = "[CLS] $A [SEP] $B:1 [SEP]:1"
OPERATORS = {"sigmoid": "Sigmoid", "identity": "Identity", "softmax": "Softmax"}
PARITY = Parity(
    reference="numpy", runtime="onnxruntime", texts=1, batch_sizes=(1,), max_abs_difference=0.0,
    cosine_mean=1.0, cosine_p01=1.0, cosine_min=1.0,
)  # fmt: skip


def _weights(labels: int) -> dict[str, npt.NDArray[np.float32]]:
    random = np.random.default_rng(7)
    shapes = {"words": (ROWS, WIDTH), "types": (2, WIDTH), "head": (WIDTH, labels), "bias": (labels,)}
    return {name: random.normal(scale=2, size=shape).astype(np.float32) for name, shape in shapes.items()}


def _write_graph(path: Path, labels: int, activation: str, types: bool, serving: Serving) -> None:
    node = helper.make_node
    nodes = [node("Gather", ["words", "input_ids"], ["embedded"])]
    if types:
        nodes += [node("Gather", ["types", "token_type_ids"], ["type"]), node("Add", ["embedded", "type"], ["summed"])]
    nodes += [
        node("Tanh", ["summed" if types else "embedded"], ["hidden"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("ReduceSum", ["mask", "last"], ["total"], keepdims=1),
        node("Div", ["mask", "total"], ["share"]),
        node("Unsqueeze", ["share", "middle"], ["shares"]),
        node("MatMul", ["shares", "hidden"], ["means"]),
        node("Squeeze", ["means", "middle"], ["pooled"]),
        node("MatMul", ["pooled", "head"], ["product"]),
        node("Add", ["product", "bias"], ["logits"]),
        node(OPERATORS[activation], ["logits"], ["scores"]),
    ]
    constants: dict[str, npt.NDArray[Any]] = {**_weights(labels), "last": np.array([-1]), "middle": np.array([1])}
    if not types:
        del constants["types"]
    names = ["input_ids", "attention_mask"] + ["token_type_ids"] * types
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in names],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", labels]) for name in ("scores", "logits")],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: as_json(serving)})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


@pytest.fixture(scope="session")
def write_reranker(write_tokenizer: Callable[..., Path]) -> Callable[..., Path]:
    """Writes an artifact: ``write_reranker(folder, labels=("a", "b"), activation="softmax", types=False, prompts={})``."""

    def write(
        folder: Path,
        *,
        labels: Sequence[str] = ("",),
        activation: str = "sigmoid",
        types: bool = True,
        max_length: int | None = MAX_LENGTH,
        **serving: Any,
    ) -> Path:
        path = write_tokenizer(folder, max_length=max_length)
        tokenizer = Tokenizer.from_file(str(path))
        ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair=PAIR, special_tokens=ends
        )
        tokenizer.save(str(path))
        names = tuple(label for label in labels if label)
        described = Serving(
            kind="cross-encoder",
            dimension=len(labels),
            max_seq_length=max_length,
            reranking=Reranking(activation=activation, labels=names),
            **serving,
        )
        _write_graph(folder / "onnx/model.onnx", len(labels), activation, types, described)
        manifest = Manifest(
            serving=described,
            source=Source(model="tests/tiny"),
            default_variant="fp32",
            variants={
                "fp32": Variant(file="onnx/model.onnx", precision="fp32", opset=23, attention="operator", parity=PARITY)
            },
            files={
                found.relative_to(folder).as_posix(): FileRecord(
                    sha256=hashlib.sha256(found.read_bytes()).hexdigest(), bytes=found.stat().st_size
                )
                for found in sorted(folder.rglob("*"))
                if found.is_file()
            },
        )
        (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
        return folder

    return write


@pytest.fixture(scope="session")
def logits_of() -> Callable[..., npt.NDArray[np.float32]]:
    """What the tiny graph gives for pairs before its activation, (pairs, labels)."""

    def logits(folder: Path, pairs: Sequence[Sequence[str]], *, labels: int = 1, types: bool = True) -> Any:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        weights = {name: value.astype(np.float64) for name, value in _weights(labels).items()}
        rows = []
        for pair in pairs:
            encoded = tokenizer.encode(pair[0], pair[1] if len(pair) > 1 else None)
            words = weights["words"][encoded.ids]
            hidden = np.tanh(words + weights["types"][encoded.type_ids] if types else words)
            rows.append(hidden.mean(axis=0) @ weights["head"] + weights["bias"])
        return np.array(rows, dtype=np.float32)

    return logits


@pytest.fixture(scope="session")
def tiny_reranker(tmp_path_factory: pytest.TempPathFactory, write_reranker: Callable[..., Path]) -> Path:
    """An artifact that tests only read: one score, sigmoid, token types, a prompt."""
    folder = tmp_path_factory.mktemp("rerankers") / "tiny"
    return write_reranker(folder, prompts={"query": "query: "})


@pytest.fixture(scope="session")
def reranker(tiny_reranker: Path) -> Iterator[CrossEncoder]:
    """A model on :func:`tiny_reranker` that tests share."""
    with CrossEncoder(tiny_reranker, threads=2) as shared:
        yield shared


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """Checkpoint and artifact of a family of ``embedrt_bench.compatibility.cross_encoders``, each made once."""
    made: dict[str, tuple[Path, Path]] = {}

    def of(name: str) -> tuple[Path, Path]:
        if name not in made:
            place = tmp_path_factory.mktemp("exported")
            checkpoint = save_cross_encoder(name, place / "checkpoint")
            embedrt_export.export(str(checkpoint), place / "artifact", quiet=True)
            made[name] = (checkpoint, place / "artifact")
        return made[name]

    return of
