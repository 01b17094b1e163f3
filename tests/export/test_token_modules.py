"""Modules before pooling, and residual Dense layers: as sentence-transformers computes them for a text alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import CNN, Dropout, Pooling, WeightedLayerPooling

from embedrt import SentenceEncoder
from embedrt.errors import CheckpointError

WIDTH = 32
TEXTS = ["how do i reset my password ?", "", "the cat sleeps on the roof .", "忘记密码怎么办", "a " * 60, "cat"]
Save = Callable[..., Path]
TOKENS = "token_embeddings"


@pytest.fixture
def save(tmp_path: Path, plain_bert: Path) -> Save:
    """A checkpoint of the plain BERT, the modules that ``make`` gives, and mean pooling over ``width``."""

    def save(make: Callable[[], list[Any]], width: int, finish: list[Any], **config: Any) -> Path:
        torch.manual_seed(5)
        transformer = Transformer(str(plain_bert), max_seq_length=24, config_kwargs=config)
        modules = [transformer, *make(), Pooling(width, pooling_mode="mean"), *finish]
        SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "checkpoint"))
        return tmp_path / "checkpoint"

    return save


def dense_on_tokens(width: int, **more: Any) -> Dense:
    return Dense(WIDTH, width, module_input_name=TOKENS, module_output_name=TOKENS, **more)


CHAINS: dict[str, tuple[Callable[[], list[Any]], int]] = {
    "dense": (lambda: [dense_on_tokens(20)], 20),
    "dense with residual": (lambda: [dense_on_tokens(WIDTH, use_residual=True)], WIDTH),
    "normalize": (lambda: [Normalize(module_input_name=TOKENS, module_output_name=TOKENS)], WIDTH),
    "cnn": (lambda: [CNN(WIDTH, out_channels=8, kernel_sizes=[1, 3, 5])], 24),
    "cnn and dense": (lambda: [CNN(WIDTH, out_channels=WIDTH, kernel_sizes=[3]), dense_on_tokens(12)], 12),
}


def assert_equal(out: Path, checkpoint: Path) -> None:
    expected = SentenceTransformer(str(checkpoint), device="cpu").encode(TEXTS, batch_size=1)
    with SentenceEncoder(out) as encoder:
        found = encoder.encode(TEXTS)
        np.testing.assert_array_equal(np.stack([encoder.encode(text) for text in TEXTS]), found)
    lengths = np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1)
    np.testing.assert_allclose(found / lengths, expected / lengths, rtol=0, atol=1e-5)


@pytest.mark.parametrize("chain", CHAINS)
def test_modules_before_pooling(save: Save, tmp_path: Path, chain: str) -> None:
    make, width = CHAINS[chain]
    checkpoint = save(make, width, [])
    embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    assert_equal(tmp_path / "out", checkpoint)


@pytest.mark.parametrize("start", [0, 2])
def test_weighted_layers(save: Save, tmp_path: Path, start: int) -> None:
    weights = torch.nn.Parameter(torch.tensor([0.5, 2.0, 1.0][start:]))

    def make() -> list[Any]:
        return [WeightedLayerPooling(WIDTH, num_hidden_layers=2, layer_start=start, layer_weights=weights)]

    checkpoint = save(make, WIDTH, [], output_hidden_states=True)
    embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    assert_equal(tmp_path / "out", checkpoint)


@pytest.mark.parametrize("width", [WIDTH, 12])
def test_a_dense_layer_behind_pooling_keeps_its_residual(save: Save, tmp_path: Path, width: int) -> None:
    checkpoint = save(list, WIDTH, [Dense(WIDTH, width, use_residual=True)])
    embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    assert_equal(tmp_path / "out", checkpoint)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (lambda: CNN(WIDTH, kernel_sizes=[2]), r"kernel_sizes \[2\].*only odd kernels with stride 1"),
        (lambda: Dropout(0.1), "modules.json lists a Dropout before pooling"),
        (lambda: CNN(WIDTH, kernel_sizes=[3], stride_sizes=[2]), r"stride_sizes \[2\]"),
        (
            lambda: Dense(WIDTH, WIDTH, module_input_name=TOKENS, module_output_name="other"),
            "modules.json lists a Dense before pooling; the exporter takes WeightedLayerPooling, CNN and Dense.* writes 'other'",
        ),
    ],
)
def test_what_cannot_be_put_into_the_graph(save: Save, tmp_path: Path, module: Callable[[], Any], message: str) -> None:
    checkpoint = save(lambda: [module()], 256 if "sizes" in message else WIDTH, [])
    with pytest.raises(CheckpointError, match=message):
        embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


def test_an_activation_that_is_no_class(save: Save, tmp_path: Path) -> None:
    checkpoint = save(list, WIDTH, [Dense(WIDTH, 16)])
    path = checkpoint / "2_Dense/config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) | {"activation_function": "torch.tanh"}
    path.write_text(json.dumps(settings), encoding="utf-8")
    message = (
        r"^the config\.json of a Dense module has activation_function 'torch\.tanh', expected a class of torch\.nn"
    )
    with pytest.raises(CheckpointError, match=message):
        embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
