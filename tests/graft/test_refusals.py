"""Folders that cannot be finished: one sentence that names file, key, what was found and what to do; nothing is written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from embedrt_export.graft import GraftOptions, graft
from embedrt_export.graft.weights import read_weights
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_torch
from safetensors.torch import save_file as save_torch
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.sentence_transformer.modules import LayerNorm

from embedrt.errors import CheckpointError, InputError

Folder = Callable[..., Path]
WIDTH = 32
DENSE, WEIGHTS = "2_Dense/config.json", "2_Dense/model.safetensors"


@pytest.fixture(scope="module")
def whole(build_folder: Folder) -> Path:
    """Pooling, Dense, LayerNorm, Normalize."""
    torch.manual_seed(1)
    return build_folder("mean", [Dense(WIDTH, 12), LayerNorm(12), Normalize()])


def _set(file: str, **values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / file
        content = json.loads(path.read_text()) | values
        path.write_text(json.dumps({key: value for key, value in content.items() if value != "gone"}))

    return change


def _weights(**changes: Any) -> Callable[[Path], None]:
    """Arrays by key, with __ for dots; None takes one away."""

    def change(folder: Path) -> None:
        named = {key.replace("__", "."): array for key, array in changes.items()}
        arrays = {**load_file(folder / WEIGHTS), **named}
        save_file({key: array for key, array in arrays.items() if array is not None}, folder / WEIGHTS)

    return change


def _module(index: int, **values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "modules.json"
        content = json.loads(path.read_text())
        content[index] |= values
        path.write_text(json.dumps(content))

    return change


def _pickled(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "2_Dense/pytorch_model.bin")


POOLING = "1_Pooling/config.json"
ROWS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "gone": (shutil.rmtree, r"there is no folder at .*; pass one with modules\.json and an \.onnx file"),
    "no-modules": (
        lambda folder: (folder / "modules.json").unlink(),
        r"has no modules\.json .*: pass --pooling with one of cls",
    ),
    "cut-modules": (lambda folder: (folder / "modules.json").write_text("["), r"modules\.json is not JSON"),
    "empty-modules": (
        lambda folder: (folder / "modules.json").write_text("[]"),
        r"modules\.json lists nothing; graft takes Transformer",
    ),
    "object": (
        lambda folder: (folder / "modules.json").write_text("{}"),
        r"modules\.json holds a dict, expected a list",
    ),
    "no-type": (_module(2, type=None), r"modules\.json has type None, expected a value of type str"),
    "foreign": (
        _module(2, type="pylate.models.Dense"),
        r"modules\.json lists the class pylate\.models\.Dense, which is none of",
    ),
    "unknown": (_module(2, type="sentence_transformers.models.CNN"), r"modules\.json lists a CNN; graft takes"),
    "unpooled": (
        _module(1, type="sentence_transformers.models.LSTM"),
        r"modules\.json lists Transformer, LSTM, Dense, .*; graft takes",
    ),
    "outside": (
        _module(2, path="../2_Dense"),
        r"modules\.json has path '\.\./2_Dense', which lies outside of the checkpoint",
    ),
    "pickled": (
        _pickled,
        r"2_Dense has its weights in pytorch_model\.bin, which only PyTorch can read: type embedrt export .* OUT",
    ),
    "no-weights": (lambda folder: (folder / WEIGHTS).unlink(), r"2_Dense has no model\.safetensors"),
    "no-safetensors": (
        lambda folder: (folder / WEIGHTS).write_bytes(b"\0" * 64),
        r"model\.safetensors is no whole safetensors file",
    ),
    "no-key": (_weights(linear__weight=None), r"2_Dense/model\.safetensors lacks linear\.weight, it has linear\.bias"),
    "further": (
        _weights(other=np.zeros(1, np.float32)),
        r"model\.safetensors has other, expected linear\.weight, linear\.bias by",
    ),
    "bias": (
        _set(DENSE, bias=False),
        r"model\.safetensors has linear\.bias, expected linear\.weight by .*config\.json in_features",
    ),
    "shape": (
        _weights(linear__weight=np.zeros((WIDTH, 12), np.float32)),
        r"model\.safetensors has linear\.weight of shape \(32, 12\), expected \(12, 32\) by .*2_Dense/config\.json in_features",
    ),
    "integers": (
        _weights(linear__bias=np.zeros(12, np.int64)),
        r"model\.safetensors has linear\.bias of type I64, expected F32",
    ),
    "no-width": (
        _set(DENSE, in_features="gone"),
        r"2_Dense/config\.json has in_features None, expected a value of type int",
    ),
    "activation": (
        _set(DENSE, activation_function="torch.nn.modules.activation.Softmax"),
        r"2_Dense/config\.json has activation_function '.*\.Softmax'; graft takes torch\.nn's Identity, Tanh",
    ),
    "own-activation": (
        _set(DENSE, activation_function="my.Tanh"),
        r"has activation_function 'my\.Tanh'; graft takes torch\.nn's",
    ),
    "other-input": (
        _set(DENSE, module_input_name="token_embeddings"),
        r"has module_input_name 'token_embeddings' .*expected sentence_embedding",
    ),
    "mode": (
        _set(POOLING, pooling_mode="median"),
        r"1_Pooling/config\.json pooling_mode is 'median', expected some of cls, max",
    ),
    "pooled": (
        _set(POOLING, embedding_dimension=768),
        r"1_Pooling/config\.json embedding_dimension is 768, but what comes before gives vectors of 32: is .*model\.onnx a",
    ),
    "norm": (
        _set("3_LayerNorm/config.json", dimension=8),
        r"3_LayerNorm/model\.safetensors has norm\.weight of shape \(12,\), expected \(8,\)",
    ),
    "default-prompt": (
        _set("config_sentence_transformers.json", default_prompt_name="none"),
        r"config_sentence_transformers\.json has default_prompt_name 'none', expected one of query, document",
    ),
    "kind": (
        _set("config_sentence_transformers.json", model_type="SparseEncoder"),
        r"has model_type SparseEncoder, expected SentenceTransformer",
    ),
    "task": (
        _set("sentence_bert_config.json", transformer_task="fill-mask"),
        r"has transformer_task fill-mask .*expected feature-extraction",
    ),
    "length-by-role": (
        _set("sentence_bert_config.json", document_length=9),
        r"sentence_bert_config\.json has document_length 9, a length for one role; .*set max_seq_length",
    ),
    "layer": (
        _set(
            "sentence_bert_config.json",
            modality_config={"text": {"method": "forward", "method_output_name": "pooler_output"}},
        ),
        r"sentence_bert_config\.json has modality_config\.text\.method_output_name 'pooler_output', expected 'last_hidden_state'",
    ),
    "calls": (
        _set("sentence_bert_config.json", processing_kwargs={"text": {"max_length": 8}}),
        r"sentence_bert_config\.json has processing_kwargs \{'max_length': 8\}, which no artifact has: remove them",
    ),
    "prompts": (
        _set("config_sentence_transformers.json", prompts={"query": 5}),
        r"config_sentence_transformers\.json has the prompt 'query': 5, expected a text: correct it",
    ),
    "chat": (
        _set("sentence_bert_config.json", modality_config={"message": {"method": "forward"}}),
        r"sentence_bert_config\.json has modality_config .*message.*, expected plain texts through forward",
    ),
    "no-tokenizer": (
        lambda folder: (folder / "tokenizer.json").unlink(),
        r"has no tokenizer\.json: with transformers installed, type",
    ),
    "cut-tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text("{"),
        r"tokenizer\.json is not a tokenizer that can be read",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_damaged_folders(whole: Path, tmp_path: Path, row: str) -> None:
    folder = shutil.copytree(whole, tmp_path / "tiny")
    damage, message = ROWS[row]
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as raised:
        graft(folder, tmp_path / "out", quiet=True)
    assert "\n" not in str(raised.value)
    assert {path.name for path in tmp_path.iterdir()} <= {"tiny"}, "nothing is written"


def test_the_undamaged_folder(whole: Path, tmp_path: Path) -> None:
    graft(whole, tmp_path / "out", quiet=True)
    assert (tmp_path / "out/embedrt.json").is_file()


def test_a_hub_id(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"download it first, hf download some-org/some-model --local-dir DIR"):
        graft("some-org/some-model", tmp_path / "out", quiet=True)


@pytest.mark.parametrize(
    "options", [GraftOptions(pooling=["mean"]), GraftOptions(normalize=True)], ids=["pooling", "normalize"]
)
def test_modules_say_it_already(whole: Path, tmp_path: Path, options: GraftOptions) -> None:
    with pytest.raises(
        InputError, match=r"modules\.json says what follows the transformer: leave out --pooling and --normalize"
    ):
        graft(whole, tmp_path / "out", options=options, quiet=True)


@pytest.fixture
def plain(whole: Path, tmp_path: Path) -> Path:
    """A copy without modules.json."""
    folder = shutil.copytree(whole, tmp_path / "tiny")
    (folder / "modules.json").unlink()
    return folder


def test_an_unknown_mode(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--pooling is median, expected some of cls"):
        graft(plain, tmp_path / "out", options=GraftOptions(pooling=["median"]), quiet=True)


@pytest.mark.parametrize("output", ["logits", "prediction_scores", "start_logits"])
def test_what_a_head_gives_is_not_pooled(plain: Path, handmade: Folder, tmp_path: Path, output: str) -> None:
    handmade(plain / "onnx/model.onnx", output=output)
    with pytest.raises(CheckpointError, match=rf"gives {output} .*; expected last_hidden_state or token_embeddings"):
        graft(plain, tmp_path / "out", options=GraftOptions(pooling=["mean"]), quiet=True)


@pytest.mark.parametrize("key", ["hidden_size", "dim", "d_model"])
def test_token_vectors_of_another_width_are_not_pooled(
    plain: Path, handmade: Folder, tmp_path: Path, edit_json: Folder, key: str
) -> None:
    handmade(plain / "onnx/model.onnx", output="anything")
    edit_json(plain / "config.json", **{"hidden_size": None, key: 48})
    message = (
        rf"config\.json {key} is 48, but what comes before gives vectors of {WIDTH}: is .* a graph of this checkpoint"
    )
    with pytest.raises(CheckpointError, match=message):
        graft(plain, tmp_path / "out", options=GraftOptions(pooling=["mean"]), quiet=True)


def test_other_token_types(folder: Path, handmade: Folder, tmp_path: Path) -> None:
    """XLNet's tokenizer gives <cls> the type 2."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["post_processor"]["single"][0]["SpecialToken"]["type_id"] = 2
    path.write_text(json.dumps(content), encoding="utf-8")
    handmade(folder / "onnx/model.onnx")
    message = r"takes token_type_ids, and tokenizer\.json gives a single text the types \[0, 2\], expected 0 alone: with PyTorch"
    with pytest.raises(CheckpointError, match=message):
        graft(folder, tmp_path / "out", quiet=True)
    handmade(folder / "onnx/model.onnx", token_types=False)
    graft(folder, tmp_path / "out", quiet=True)


def test_a_taken_place(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/note.txt").write_text("mine")
    with pytest.raises(InputError, match="not an artifact"):
        graft(whole, tmp_path / "out", quiet=True)
    graft(whole, tmp_path / "new", quiet=True)
    with pytest.raises(InputError, match="pass --overwrite"):
        graft(whole, tmp_path / "new", quiet=True)
    graft(whole, tmp_path / "new", overwrite=True, quiet=True)


def test_half_and_brain_floats(whole: Path, tmp_path: Path) -> None:
    """Weights are read as float32, whatever they were saved as; sentence-transformers' exporter does the same."""
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        folder = shutil.copytree(whole, tmp_path / str(kind))
        rounded = {key: tensor.to(kind) for key, tensor in load_torch(folder / WEIGHTS).items()}
        save_torch(rounded, folder / WEIGHTS)
        plain = shutil.copytree(whole, tmp_path / f"{kind}.plain")
        save_torch({key: tensor.float() for key, tensor in rounded.items()}, plain / WEIGHTS)
        wanted = {"linear.weight": (12, WIDTH), "linear.bias": (12,)}
        found, expected = (read_weights(place / "2_Dense", wanted, said_by="") for place in (folder, plain))
        for key in wanted:
            np.testing.assert_array_equal(found[key], expected[key])
            assert found[key].dtype == np.float32
