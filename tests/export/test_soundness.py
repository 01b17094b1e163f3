"""Checkpoints that contradict themselves: one sentence that names file, key, what was found and what to do; nothing written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import pytest
from embedrt_export.source.loading import load_checkpoint
from embedrt_export.source.weights import LoadingReport, require_weights
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from transformers import AutoTokenizer

from embedrt import SentenceEncoder
from embedrt.errors import CheckpointError, GraphError

Build = Callable[..., Path]
Damage = Callable[[Path], None]
WIDTH = 32


def edit(name: str, **changes: Any) -> Damage:
    """Changes keys of a JSON file."""

    def damage(folder: Path) -> None:
        path = folder / name
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        path.write_text(json.dumps(content | changes), encoding="utf-8")

    return damage


def weights(change: Callable[[dict[str, np.ndarray]], None], name: str = "model.safetensors") -> Damage:
    """Changes the tensors of a weights file."""

    def damage(folder: Path) -> None:
        tensors = load_file(folder / name)
        change(tensors)
        save_file(tensors, folder / name, metadata={"format": "pt"})

    return damage


def drop(tensors: dict[str, np.ndarray]) -> None:
    for name in [name for name in tensors if "layer.1.attention" in name]:
        del tensors[name]


def widen(tensors: dict[str, np.ndarray]) -> None:
    tensors["embeddings.word_embeddings.weight"] = np.zeros((99, WIDTH), dtype=np.float32)


def narrow_dense(tensors: dict[str, np.ndarray]) -> None:
    tensors["linear.weight"] = tensors["linear.weight"][:, :8].copy()


def module_type(name: str) -> Damage:
    def damage(folder: Path) -> None:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        modules[-1]["type"] = name
        (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")

    return damage


def cut_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0", "mod', encoding="utf-8")


def remove(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def poison(tensors: dict[str, np.ndarray]) -> None:
    tensors["encoder.layer.1.output.dense.bias"][3] = np.nan


def pointer(name: str) -> Damage:
    content = "version https://git-lfs.github.com/spec/v1\noid sha256:4665\nsize 90868376\n"

    def damage(folder: Path) -> None:
        (folder / name).write_text(content, encoding="utf-8")

    return damage


FORWARD = {"method": "forward", "method_output_name": "last_hidden_state"}


def add_bread(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["bread"])  # a word of the texts that graphs are compared over
    tokenizer.save_pretrained(folder)


CASES: dict[str, tuple[Damage, str]] = {
    "module of another package": (
        module_type("my_models.modules.Attentive"),
        r"brings its own Python code: .*--trust-remote-code.*my_models\.modules\.Attentive",
    ),
    "unknown module": (
        module_type("sentence_transformers.models.Attentive"),
        r"modules\.json names the module sentence_transformers\.models\.Attentive, which",
    ),
    "chat template": (
        lambda folder: (
            edit("tokenizer_config.json", chat_template="{% for m in messages %}{{ m.content }}{% endfor %}")(folder),
            edit(
                "sentence_bert_config.json", modality_config={"text": FORWARD, "message": {**FORWARD, "format": "flat"}}
            )(folder),
        )[0],
        r"tokenizer_config\.json \(or chat_template\.jinja\) has a chat_template.*remove the template",
    ),
    "no weights of a module": (
        remove("2_Dense/model.safetensors"),
        r"2_Dense has neither model\.safetensors nor pytorch_model\.bin, which its module needs",
    ),
    "a token without vector in a text": (
        add_bread,
        r"itself cannot encode with this checkpoint, a BertModel \(IndexError: .*\): 1 tokens .*, from id 35 on, have no vector",
    ),
    "some weights are missing": (weights(drop), r"weights lack .*layer\.1\.attention.* and \d+ more.*Download"),
    "weights of another shape": (weights(widen), r"embeddings\.word_embeddings\.weight.*\[99, 32\]"),
    "dense weights of another shape": (
        weights(narrow_dense, "2_Dense/model.safetensors"),
        r"2_Dense.*linear\.weight.*\[16, 8\].*\[16, 32\]",
    ),
    "config with fewer layers": (
        edit("config.json", num_hidden_layers=1),
        r"weights hold .*layer\.1\..*, a layer more than its config\.json counts",
    ),
    "config with more layers": (edit("config.json", num_hidden_layers=3), r"weights lack .*layer\.2\."),
    "config of another width": (edit("config.json", hidden_size=64), r"\[.*32\].*\[.*64\]"),
    "pooling of another width": (
        edit("1_Pooling/config.json", embedding_dimension=64),
        r"1_Pooling/config\.json has embedding_dimension 64, but what comes before gives vectors of 32",
    ),
    "dense of another width": (
        lambda folder: (
            edit("2_Dense/config.json", in_features=8)(folder),
            weights(narrow_dense, "2_Dense/model.safetensors")(folder),
        )[0],
        r"2_Dense/config\.json has in_features 8, but what comes before gives vectors of 32",
    ),
    "length beyond the positions": (
        edit("sentence_bert_config.json", max_seq_length=1000),
        r"sentence_bert_config\.json has max_seq_length 1000, but the model has position vectors for 64 tokens: set it to 64",
    ),
    "no token to pad with": (
        edit("tokenizer_config.json", pad_token=None, eos_token="[SEP]"),
        r"tokenizer_config\.json names no pad_token, without which .* name there the one .* the last of a text: '\[SEP\]'",
    ),
    "tokenizer cut short": (
        cut_tokenizer,
        "cannot be loaded",
    ),
    "no tokenizer": (
        lambda folder: (remove("tokenizer.json")(folder), remove("tokenizer_config.json")(folder))[0],
        r"checkpoint has no tokenizer that knows a word: its files \(tokenizer\.json, or vocab\.txt and the like\) are missing",
    ),
    "weights that are no numbers": (
        weights(poison),
        r"encoder\.layer\.1\.output\.dense\.bias of the checkpoint's weights holds NaN or infinity",
    ),
    "a prompt that is no text": (
        edit("config_sentence_transformers.json", prompts={"query": 5}),
        r"config_sentence_transformers\.json has the prompt 'query': 5, expected a text",
    ),
    "weights that Git has not fetched": (
        pointer("model.safetensors"),
        r"checkpoint/model\.safetensors is a Git LFS pointer and not the file itself: type git lfs pull in its folder, or",
    ),
    "a tokenizer that Git has not fetched": (
        pointer("tokenizer.json"),
        r"checkpoint/tokenizer\.json is a Git LFS pointer and not the file itself",
    ),
    "no settings of a module": (
        lambda folder: shutil.rmtree(folder / "1_Pooling"),
        r"modules\.json names 1_Pooling, which has no config\.json: download the checkpoint again",
    ),
    "unknown activation": (
        edit("config.json", hidden_act="swoosh"),
        r"cannot be loaded: 'swoosh' is unknown to the installed libraries, or missing\. See its config\.json",
    ),
}


@pytest.fixture(scope="module")
def sound(build_checkpoint: Build) -> Path:
    """BERT, mean pooling and a Dense layer, in order."""
    return build_checkpoint("mean", [Dense(WIDTH, 16)])


@pytest.mark.parametrize("case", CASES)
def test_one_sentence_says_what_is_wrong(sound: Path, tmp_path: Path, case: str) -> None:
    damage, message = CASES[case]
    checkpoint = shutil.copytree(sound, tmp_path / "checkpoint")
    damage(checkpoint)
    with pytest.raises(CheckpointError, match=message) as raised:
        embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_pooler_that_nobody_reads_may_be_missing(sound: Path, tmp_path: Path) -> None:
    def drop_pooler(tensors: dict[str, np.ndarray]) -> None:
        for name in [name for name in tensors if name.startswith("pooler.")]:
            del tensors[name]

    checkpoint = shutil.copytree(sound, tmp_path / "checkpoint")
    weights(drop_pooler)(checkpoint)
    embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)


def test_texts_are_cut_where_positions_end(sound: Path, tmp_path: Path) -> None:
    """No file names a limit; sentence-transformers takes the length of the position table, and so do we."""
    checkpoint = shutil.copytree(sound, tmp_path / "checkpoint")
    (checkpoint / "sentence_bert_config.json").write_text("{}", encoding="utf-8")
    edit("tokenizer_config.json", model_max_length=10**30)(checkpoint)
    manifest = embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    assert manifest.serving.max_seq_length == 64
    assert SentenceTransformer(str(checkpoint), device="cpu").max_seq_length == 64


def test_a_pointer_that_nobody_reads_is_not_blamed(sound: Path, tmp_path: Path) -> None:
    checkpoint = shutil.copytree(sound, tmp_path / "checkpoint")
    pointer("pytorch_model.bin")(checkpoint)
    pointer("model.onnx")(checkpoint)
    load_checkpoint(str(checkpoint))
    edit("config.json", hidden_act="swoosh")(checkpoint)
    with pytest.raises(CheckpointError, match="'swoosh' is unknown"):
        load_checkpoint(str(checkpoint))


def test_an_adapter_alone(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/adapter_config.json").write_text('{"peft_type": "LORA"}', encoding="utf-8")
    with pytest.raises(
        CheckpointError, match=r"adapter is an adapter without the model .*: load both with peft, merge them"
    ):
        embedrt_export.export(str(tmp_path / "adapter"), tmp_path / "out", quiet=True)


def test_a_prompt_without_text_is_empty(sound: Path, tmp_path: Path) -> None:
    checkpoint = shutil.copytree(sound, tmp_path / "checkpoint")
    edit("config_sentence_transformers.json", prompts={"query": None, "document": "the "})(checkpoint)
    assert load_checkpoint(str(checkpoint)).serving().prompts == {"query": "", "document": "the "}


def test_half_weights_come_without_advice(
    sound: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def halve(tensors: dict[str, np.ndarray]) -> None:
        for name, tensor in tensors.items():
            tensors[name] = tensor.astype(np.float16)

    checkpoint = shutil.copytree(sound, tmp_path / "checkpoint")
    weights(halve)(checkpoint)
    edit("config.json", dtype="float16")(checkpoint)
    load_checkpoint(str(checkpoint))
    assert capfd.readouterr().err == ""
    assert not [record for record in caplog.records if record.name.startswith("sentence_transformers")]


def test_tokens_that_the_model_has_no_row_for(sound: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    checkpoint = shutil.copytree(sound, tmp_path / "checkpoint")
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    rows = len(tokenizer)
    embedrt_export.export(str(checkpoint), tmp_path / "whole")
    assert "have no vector" not in capfd.readouterr().err
    tokenizer.add_tokens(["wombat", "quokka"])
    tokenizer.save_pretrained(checkpoint)
    embedrt_export.export(str(checkpoint), tmp_path / "out")
    told = f"2 tokens of the tokenizer, from id {rows} on, have no vector, for the model has {rows}: a text with one"
    assert told in capfd.readouterr().err
    with SentenceEncoder(tmp_path / "out") as encoder:
        assert encoder.encode("the cat").shape == (16,)
        with pytest.raises(
            GraphError, match=rf"gives id {rows}, and the model has vectors for ids up to {rows - 1} only"
        ):
            encoder.encode(["the cat", "the wombat"])


def test_layers_of_another_tower_are_no_further_layers() -> None:
    """A file may hold a decoder, or the side that reads images, with more layers than the class has."""
    known = frozenset(f"encoder.block.{layer}.q.weight" for layer in range(2))
    decoder = tuple(f"decoder.block.{layer}.q.weight" for layer in range(6))
    require_weights([LoadingReport("T5EncoderModel", (), decoder, (), known)])
    for further in ("encoder.block.2.q.weight", "model.encoder.block.2.q.weight"):
        with pytest.raises(
            CheckpointError, match=r"hold .*block\.2\.q\.weight, a layer more than its config\.json counts"
        ):
            require_weights([LoadingReport("T5EncoderModel", (), (*decoder, further), (), known)])
