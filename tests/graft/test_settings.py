"""Limits, prompts and padding as sentence-transformers has them, which loads the same folders."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedrt_export.graft import graft
from embedrt_export.graft.settings import model_settings, tokenizer_settings
from sentence_transformers import SentenceTransformer

from embedrt import SentenceEncoder
from embedrt.errors import CheckpointError
from embedrt.text.tokenizer import TextTokenizer

Edit = Callable[..., None]
TEXTS = ["How do I RESET my password ?", "", "Ä Straße", "忘记密码怎么办", "a cat " * 60]
LIMITS, TOKENIZER, CONFIG = "sentence_bert_config.json", "tokenizer_config.json", "config.json"
MODEL = "config_sentence_transformers.json"


def _assert_same_tokens(out: Path, folder: Path) -> None:
    theirs = SentenceTransformer(str(folder), device="cpu").tokenizer(TEXTS, truncation=True)["input_ids"]
    ours = TextTokenizer(out / "tokenizer.json").encode(TEXTS)
    assert [ours.row(index).tolist() for index in range(len(TEXTS))] == theirs


@pytest.mark.parametrize(
    ("limits", "tokenizer", "expected"),
    [
        ({}, {}, 24),
        ({"max_seq_length": 30}, {}, 30),
        ({"max_seq_length": 30}, {"model_max_length": 12}, 30),
        ({"max_seq_length": None}, {"model_max_length": 12}, 12),
        ({"max_seq_length": None}, {"model_max_length": 512}, 64),
        ({"max_seq_length": None}, {"model_max_length": None}, 64),
        ({"max_seq_length": 30, "processor_kwargs": {"model_max_length": 9}}, {}, 9),
        ({"max_seq_length": 30, "tokenizer_args": {"model_max_length": 9}}, {}, 9),
    ],
)
def test_maximum_length(
    folder: Path, tmp_path: Path, edit_json: Edit, limits: dict[str, Any], tokenizer: dict[str, Any], expected: int
) -> None:
    edit_json(folder / LIMITS, **limits)
    edit_json(folder / TOKENIZER, **tokenizer)
    assert SentenceTransformer(str(folder), device="cpu").max_seq_length == expected
    serving = graft(folder, tmp_path / "out", quiet=True).serving
    assert serving.max_seq_length == expected
    assert json.loads((tmp_path / "out/tokenizer.json").read_text())["truncation"]["max_length"] == expected
    _assert_same_tokens(tmp_path / "out", folder)


def test_positions_behind_padding(folder: Path, edit_json: Edit) -> None:
    """Position tables of RoBERTa's kind begin with rows that no token gets; xlnet says -1 for no table."""
    edit_json(folder / LIMITS, max_seq_length=None)
    edit_json(folder / TOKENIZER, model_max_length=512)
    edit_json(folder / CONFIG, model_type="xlm-roberta", pad_token_id=1, max_position_embeddings=514)
    assert tokenizer_settings(folder).max_seq_length == 512
    edit_json(folder / CONFIG, max_position_embeddings=400)
    assert tokenizer_settings(folder).max_seq_length == 398
    edit_json(folder / CONFIG, max_position_embeddings=-1)
    assert tokenizer_settings(folder).max_seq_length == 512
    edit_json(folder / TOKENIZER, model_max_length=10**30)
    assert tokenizer_settings(folder).max_seq_length is None


def test_more_tokens_than_positions(folder: Path, tmp_path: Path, edit_json: Edit) -> None:
    edit_json(folder / LIMITS, max_seq_length=100)
    with pytest.raises(
        CheckpointError, match=r"max_seq_length is 100, but .*config\.json has position vectors for 64 tokens"
    ):
        graft(folder, tmp_path / "out", quiet=True)
    edit_json(folder / CONFIG, max_position_embeddings=100)  # what the graph itself cannot do
    with pytest.raises(
        CheckpointError,
        match=r"cannot be run on 1 texts of 100 tokens\. .*sentence_bert_config\.json max_seq_length says",
    ) as raised:
        graft(folder, tmp_path / "out", quiet=True)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("limits", "tokenizer"),
    [
        ({"do_lower_case": True}, {}),
        ({}, {"do_lower_case": False}),
        ({}, {"strip_accents": False}),
        ({}, {"tokenize_chinese_chars": False}),
        ({}, {"truncation_side": "left"}),
    ],
    ids=str,
)
def test_what_changes_token_ids(
    folder: Path, tmp_path: Path, edit_json: Edit, limits: dict[str, Any], tokenizer: dict[str, Any]
) -> None:
    edit_json(folder / LIMITS, **limits)
    edit_json(folder / TOKENIZER, **tokenizer)
    graft(folder, tmp_path / "out", quiet=True)
    _assert_same_tokens(tmp_path / "out", folder)


def test_left_padding_that_moves_tokens(folder: Path, tmp_path: Path, edit_json: Edit) -> None:
    """A BERT counts positions from the left: behind padding a text would have another vector than alone."""
    edit_json(folder / TOKENIZER, padding_side="left")
    assert tokenizer_settings(folder).padding_side == "left"
    assert graft(folder, tmp_path / "out", quiet=True).serving.padding_side == "right"
    model = SentenceTransformer(str(folder), device="cpu")
    assert model.tokenizer.padding_side == "left"
    found = SentenceEncoder(tmp_path / "out").encode(TEXTS, batch_size=len(TEXTS))
    np.testing.assert_allclose(found, model.encode(TEXTS, batch_size=1), rtol=0, atol=1e-5)


def test_left_padded_artifact(folder: Path, tmp_path: Path, edit_json: Edit, handmade: Callable[..., Path]) -> None:
    """A transformer that knows no positions gives the same on either side."""
    edit_json(folder / "1_Pooling/config.json", pooling_mode=["lasttoken", "weightedmean"])
    handmade(folder / "onnx/model.onnx")
    right = graft(folder, tmp_path / "right", quiet=True)
    edit_json(folder / TOKENIZER, padding_side="left")
    left = graft(folder, tmp_path / "left", quiet=True)
    assert (right.serving.padding_side, left.serving.padding_side) == ("right", "left")
    on_the_left, on_the_right = (SentenceEncoder(tmp_path / side).encode(TEXTS) for side in ("left", "right"))
    np.testing.assert_allclose(on_the_left, on_the_right, rtol=0, atol=1e-6)


def test_pad_token(folder: Path, tmp_path: Path, edit_json: Edit) -> None:
    edit_json(folder / TOKENIZER, pad_token="[MASK]")
    expected = SentenceTransformer(str(folder), device="cpu").tokenizer.pad_token_id
    assert graft(folder, tmp_path / "out", quiet=True).serving.pad_token_id == expected == 4


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "passage"},
        {"prompts": None, "similarity_fn_name": "euclidean"},
        {"similarity_fn_name": "maxsim"},
    ],
    ids=str,
)
def test_prompts_and_similarity(folder: Path, edit_json: Edit, config: dict[str, Any]) -> None:
    (folder / MODEL).unlink()
    edit_json(folder / MODEL, **config)
    model, found = SentenceTransformer(str(folder), device="cpu"), model_settings(folder)
    assert found.prompts == model.prompts
    assert found.default_prompt_name == model.default_prompt_name
    assert found.similarity == model.similarity_fn_name


def test_a_length_that_is_no_number(folder: Path, edit_json: Edit) -> None:
    edit_json(folder / "sentence_bert_config.json", max_seq_length="24")
    with pytest.raises(
        CheckpointError, match=r"has max_seq_length '24', expected a number of tokens: correct or remove"
    ):
        tokenizer_settings(folder)


def test_arguments_that_every_call_has(folder: Path, edit_json: Edit) -> None:
    edit_json(folder / "sentence_bert_config.json", processing_kwargs={"text": {"padding": True, "truncation": True}})
    assert tokenizer_settings(folder).max_seq_length == SentenceTransformer(str(folder), device="cpu").max_seq_length


def test_artifact_is_what_its_manifest_says(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = graft(folder, out, quiet=True)
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert written == {*manifest.files, "embedrt.json"}
    assert {"README.md", "config.json", "onnx/model.onnx", "tokenizer.json", "tokenizer_config.json"} <= written
    assert (manifest.source.model, manifest.source.revision) == ("tiny", None)
    assert {"onnx", "onnxruntime", "numpy"} <= manifest.source.libraries.keys()
    assert "its modules in numpy" in (out / "README.md").read_text(encoding="utf-8")
    shutil.copy(out / "onnx/model.onnx", tmp_path)
    shutil.copy(out / "tokenizer.json", tmp_path)
    with SentenceEncoder(tmp_path / "model.onnx") as alone, SentenceEncoder(out) as whole:
        np.testing.assert_array_equal(alone.encode(TEXTS), whole.encode(TEXTS))


def test_a_downloaded_snapshot_keeps_its_name(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "models--some-org--some-model/snapshots" / ("0123456789" * 4)
    place.parent.mkdir(parents=True)
    folder.rename(place)
    source = graft(place, tmp_path / "out", quiet=True).source
    assert (source.model, source.revision) == ("some-org/some-model", "0123456789" * 4)
