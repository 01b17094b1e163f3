"""Small checkpoints all the way: exported, verified, loaded by the runtime, equal to sentence-transformers."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import onnx
import onnx_ir
import pytest
import torch
from embedrt_export import pipeline
from embedrt_export.tracing import attention
from embedrt_export.tracing.trace import trace
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm
from torch import nn

from embedrt import SentenceEncoder
from embedrt.errors import CheckpointError, InputError, IntegrityError, ParityError

Build = Callable[..., Path]
WIDTH = 32
TEXTS = [
    "how do i reset my password ?",
    "",
    "the cat sleeps on the roof .",
    "忘记密码怎么办",
    "a " * 60,
    "cat",
    "猫 cat roofs",
]


def _assert_equal_to_sentence_transformers(artifact: Path, checkpoint: Path, **prompt: Any) -> None:
    expected = SentenceTransformer(str(checkpoint), device="cpu").encode(TEXTS, batch_size=3, **prompt)
    found = SentenceEncoder(artifact).encode(TEXTS, **prompt)
    lengths = np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1)  # the guarantee is on unit vectors
    np.testing.assert_allclose(found / lengths, expected / lengths, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "pooling", ["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", ("cls", "mean")]
)
def test_every_pooling(build_checkpoint: Build, tmp_path: Path, pooling: str | Sequence[str]) -> None:
    checkpoint = build_checkpoint(pooling)
    manifest = embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    assert manifest.serving.pooling == ((pooling,) if isinstance(pooling, str) else pooling)
    assert manifest.variants["fp32"].attention == "operator"
    assert manifest.variants["fp32"].parity.max_abs_difference <= 1e-5
    _assert_equal_to_sentence_transformers(tmp_path / "out", checkpoint)


@pytest.mark.parametrize(
    "finish",
    [
        lambda: [Normalize()],
        lambda: [Dense(WIDTH, 12, activation_function=nn.Tanh()), Normalize()],
        lambda: [LayerNorm(WIDTH), Dropout(0.3), Dense(WIDTH, 48, bias=False, activation_function=nn.GELU())],
        lambda: [
            Dense(WIDTH, 16, activation_function=nn.Identity()),
            Dense(16, 8, activation_function=nn.ReLU()),
            LayerNorm(8),
        ],
    ],
    ids=["normalize", "dense-tanh", "norm-dropout-gelu", "two-dense"],
)
def test_everything_behind_pooling(
    build_checkpoint: Build, tmp_path: Path, finish: Callable[[], list[nn.Module]]
) -> None:
    checkpoint = build_checkpoint("mean", finish())
    embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    _assert_equal_to_sentence_transformers(tmp_path / "out", checkpoint)


def test_the_same_text_has_the_same_bits_behind_a_dense_layer(build_checkpoint: Build, tmp_path: Path) -> None:
    checkpoint = build_checkpoint("mean", [Dense(WIDTH, 12, activation_function=nn.Tanh()), Normalize()])
    embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    encoder = SentenceEncoder(tmp_path / "out")
    texts = [*TEXTS, *[f"cat {'roof ' * (index % 5)}{'cat ' * (index % 3)}" for index in range(40)]]
    alone = np.stack([encoder.encode(text) for text in texts])
    np.testing.assert_array_equal(encoder.encode(texts), alone)


def test_prompts_and_their_exclusion(build_checkpoint: Build, tmp_path: Path) -> None:
    prompts = {"query": "how do i ", "document": ""}
    checkpoint = build_checkpoint(
        "mean", [Normalize()], include_prompt=False, prompts=prompts, default_prompt_name="query"
    )
    manifest = embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    assert manifest.serving.prompts == prompts
    assert manifest.serving.default_prompt_name == "query"
    assert manifest.serving.include_prompt is False
    _assert_equal_to_sentence_transformers(tmp_path / "out", checkpoint)
    _assert_equal_to_sentence_transformers(tmp_path / "out", checkpoint, prompt="the cat ")
    _assert_equal_to_sentence_transformers(tmp_path / "out", checkpoint, prompt_name="document")


def test_vectors_that_the_checkpoint_cuts(build_checkpoint: Build, tmp_path: Path) -> None:
    """sentence-transformers saves the width that a model was loaded with, and cuts behind normalization."""
    checkpoint = build_checkpoint("mean", [Normalize()], truncate_dim=12)
    assert SentenceTransformer(str(checkpoint), device="cpu").truncate_dim == 12
    manifest = embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    assert manifest.serving.dimension == 12
    _assert_equal_to_sentence_transformers(tmp_path / "out", checkpoint)


def test_an_architecture_with_code_of_its_own_falls_back_and_says_so(
    mpnet_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "OWN_ATTENTION", {})
    manifest = embedrt_export.export(str(mpnet_checkpoint), tmp_path / "out")
    assert manifest.variants["fp32"].attention == "eager"
    assert "falling back to a traced one" in capsys.readouterr().err
    operators = {node.op_type for node in onnx.load(tmp_path / "out/onnx/model.onnx").graph.node}
    assert "Attention" not in operators
    _assert_equal_to_sentence_transformers(tmp_path / "out", mpnet_checkpoint)


RECIPES: dict[str, Callable[[Any, Any], Any]] = {
    "mean": lambda hidden, mask: (hidden * mask).sum(1) / mask.sum(1),
    "cls": lambda hidden, _mask: hidden[:, 0],
    "max": lambda hidden, mask: hidden.masked_fill(mask == 0, -1e9).max(1)[0],
    "lasttoken": lambda hidden, mask: hidden[torch.arange(len(hidden)), mask.squeeze(-1).sum(1).long() - 1],
}
"""As model cards print them."""


@pytest.mark.parametrize("pooling", RECIPES)
def test_a_plain_transformers_checkpoint(plain_bert: Path, tmp_path: Path, pooling: str) -> None:
    embedrt_export.export(str(plain_bert), tmp_path / "out", pooling=[pooling], quiet=True)
    model = SentenceTransformer(str(plain_bert), device="cpu")
    tokens = model.tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model[0].auto_model(**tokens).last_hidden_state
    expected = RECIPES[pooling](hidden, tokens["attention_mask"].unsqueeze(-1).float())
    np.testing.assert_allclose(SentenceEncoder(tmp_path / "out").encode(TEXTS), expected.numpy(), rtol=0, atol=1e-5)


def test_token_embeddings_are_given_when_asked_for(tiny_checkpoint: Path, tmp_path: Path) -> None:
    embedrt_export.export(str(tiny_checkpoint), tmp_path / "out", token_embeddings=True, quiet=True)
    expected = SentenceTransformer(str(tiny_checkpoint), device="cpu").encode(TEXTS, output_value="token_embeddings")
    found = SentenceEncoder(tmp_path / "out").encode(TEXTS, output_value="token_embeddings")
    assert [len(rows) for rows in found] == [len(rows) for rows in expected]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-5)


def test_the_artifact_is_what_its_manifest_says(tiny_checkpoint: Path, tmp_path: Path) -> None:
    manifest = embedrt_export.export(str(tiny_checkpoint), tmp_path / "out", quiet=True)
    written = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert written == {*manifest.files, "embedrt.json"}
    graph = onnx.load(tmp_path / "out/onnx/model.onnx")
    onnx.checker.check_model(graph, full_check=True)
    assert {node.domain for node in graph.graph.node} == {""}, "standard operators only"
    assert [value.name for value in graph.graph.input] == ["input_ids", "attention_mask"]
    assert [value.name for value in graph.graph.output] == ["sentence_embedding"]
    assert [dimension.dim_param for dimension in graph.graph.input[0].type.tensor_type.shape.dim] == [
        "batch",
        "sequence",
    ]
    assert json.loads((tmp_path / "out/tokenizer.json").read_text())["truncation"]["max_length"] == 24
    assert json.loads((tmp_path / "out/config.json").read_text())["model_type"] == "bert"


def test_a_mean_is_a_sum_where_normalize_follows_at_once(build_checkpoint: Any, tmp_path: Path) -> None:
    """The lengths of texts are counted only where something reads them."""
    counted = {}
    for name, finish in {"unit": [Normalize()], "bare": [], "dense": [Dense(32, 8), Normalize()]}.items():
        embedrt_export.export(str(build_checkpoint("mean", finish)), tmp_path / name, quiet=True)
        graph = onnx.load(tmp_path / name / "onnx/model.onnx").graph
        counted[name] = sum(node.op_type == "ReduceSum" for node in graph.node)
    assert counted == {"unit": 0, "bare": 1, "dense": 1}


def test_a_wrong_graph_is_refused_with_text_and_layer(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sabotaged(*arguments: Any) -> onnx_ir.Model:
        model = trace(*arguments)
        weight = next(
            value for name, value in model.graph.initializers.items() if "layer.1.output.dense.weight" in name
        )
        assert weight.const_value is not None
        weight.const_value = onnx_ir.tensor(weight.const_value.numpy() * np.float32(1.01), name=weight.name)
        return model

    monkeypatch.setattr(pipeline, "trace", sabotaged)
    with pytest.raises(
        ParityError, match=r"expected at most 1e-05; worst text '.*' in batches of \d+; .*encoder\.layer\.1$"
    ):
        embedrt_export.export(str(tiny_checkpoint), tmp_path / "out", quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_verify_repeats_the_comparison(tiny_checkpoint: Path, build_checkpoint: Build, tmp_path: Path) -> None:
    embedrt_export.export(str(tiny_checkpoint), tmp_path / "out", quiet=True)
    _, parity = embedrt_export.verify(tmp_path / "out", against=str(tiny_checkpoint), quiet=True)
    assert parity.max_abs_difference <= 1e-5
    with pytest.raises(ParityError, match="worst text"):
        embedrt_export.verify(tmp_path / "out", against=str(build_checkpoint("cls", [Normalize()])), quiet=True)
    (tmp_path / "out/tokenizer.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"tokenizer\.json"):
        embedrt_export.verify(tmp_path / "out", against=str(tiny_checkpoint), quiet=True)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "there is no folder at"),
        (lambda folder: (folder / "model.safetensors").unlink(), "cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\0" * 64), "cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "nothing"}'), "cannot be loaded"),
        (lambda folder: (folder / "modules.json").write_text("[]"), "empty modules list"),
    ],
    ids=["gone", "no-weights", "no-safetensors", "cut-config", "unknown-type", "no-modules"],
)
def test_a_broken_checkpoint_is_one_clear_error(
    tiny_checkpoint: Path, tmp_path: Path, damage: Any, message: str
) -> None:
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, checkpoint)
    damage(checkpoint)
    with pytest.raises(CheckpointError, match=message) as raised:
        embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"no model")
    with pytest.raises(
        CheckpointError, match=r"has neither modules\.json nor config\.json: pass the folder of a checkpoint"
    ):
        embedrt_export.export(str(tmp_path), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


def test_an_artifact_is_no_checkpoint(tiny: Path, tmp_path: Path) -> None:
    artifact = shutil.copytree(tiny, tmp_path / "artifact")
    (artifact / "config.json").write_text("{}")  # which exported ones keep
    with pytest.raises(CheckpointError, match=r"is no checkpoint but an artifact, exported already \(it has embedrt"):
        embedrt_export.export(str(artifact), tmp_path / "out", quiet=True)


def test_pooling_must_be_said_where_nothing_says_it(plain_bert: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="--pooling with one of cls"):
        embedrt_export.export(str(plain_bert), tmp_path / "out", quiet=True)
    with pytest.raises(InputError, match="--pooling is median, expected some of cls"):
        embedrt_export.export(str(plain_bert), tmp_path / "out", pooling=["median"], quiet=True)
    with pytest.raises(CheckpointError, match="leave out --pooling"):
        embedrt_export.export(str(tiny_checkpoint), tmp_path / "out", pooling=["mean"], quiet=True)


def test_a_taken_place_is_refused_before_any_work(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="not an artifact"):
        embedrt_export.export(str(tiny_checkpoint), tmp_path, quiet=True)
