"""What the files of other makers tell of a folder without a manifest, or say wrongly."""

import json
from pathlib import Path
from typing import Any

import pytest

from embedrt.artifact.hub_files import serving_from_hub_files
from embedrt.artifact.manifest import Serving
from embedrt.errors import ManifestError

EMPTY = {"query": "", "document": ""}
"""What sentence-transformers gives every model."""
HUB_FILES: dict[str, tuple[dict[str, Any], Serving]] = {
    "nothing": ({}, Serving(dimension=8, prompts=EMPTY)),
    "all": (
        {
            "config.json": {"pad_token_id": 5},
            "tokenizer_config.json": {"model_max_length": 512, "padding_side": "left"},
            "sentence_bert_config.json": {"max_seq_length": 256},
            "config_sentence_transformers.json": {
                "prompts": {"query": "q: "},
                "default_prompt_name": "query",
                "similarity_fn_name": "dot",
            },
        },
        Serving(
            dimension=8,
            max_seq_length=256,
            pad_token_id=5,
            padding_side="left",
            prompts={"query": "q: ", "document": ""},
            default_prompt_name="query",
            similarity="dot",
        ),
    ),
    "no limit": ({"tokenizer_config.json": {"model_max_length": 1e30}}, Serving(dimension=8, prompts=EMPTY)),
    "limit of the tokenizer": (
        {"tokenizer_config.json": {"model_max_length": 512}},
        Serving(dimension=8, max_seq_length=512, prompts=EMPTY),
    ),
    "prompts without words": (
        {"config_sentence_transformers.json": {"prompts": {"document": None, "passage": "p: "}}},
        Serving(dimension=8, prompts={**EMPTY, "passage": "p: "}),
    ),
    "nulls": (
        {
            "config.json": {"pad_token_id": None},
            "sentence_bert_config.json": {"max_seq_length": None},
            "config_sentence_transformers.json": {"prompts": None, "similarity_fn_name": None},
        },
        Serving(dimension=8, prompts=EMPTY),
    ),
}


@pytest.mark.parametrize("name", HUB_FILES)
def test_what_the_files_of_other_makers_tell(tmp_path: Path, name: str) -> None:
    files, expected = HUB_FILES[name]
    for file, content in files.items():
        (tmp_path / file).write_text(json.dumps(content), encoding="utf-8")
    assert serving_from_hub_files(tmp_path, dimension=8) == expected


def test_a_broken_file_of_other_makers_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"tokenizer_config\.json is not JSON"):
        serving_from_hub_files(tmp_path, dimension=8)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (
            {"prompts": ["query: "]},
            r"has prompts \['query: '\], expected texts by name, as \{'query': 'query: '\}: correct",
        ),
        ({"prompts": "query: "}, r"has prompts 'query: ', expected texts by name"),
        ({"prompts": {"query": 5}}, r"has the prompt 'query': 5, expected a text: correct it"),
        (
            {"default_prompt_name": "s"},
            r"has default_prompt_name 's', expected one of query, document: correct or remove it",
        ),
    ],
)
def test_prompts_of_other_makers_that_are_none(tmp_path: Path, told: dict[str, Any], message: str) -> None:
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(ManifestError, match=f"^config_sentence_transformers\\.json {message}"):
        serving_from_hub_files(tmp_path, dimension=8)


@pytest.mark.parametrize(
    ("file", "key"), [("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")]
)
def test_a_length_that_is_no_number(tmp_path: Path, file: str, key: str) -> None:
    (tmp_path / file).write_text(json.dumps({key: "512"}), encoding="utf-8")
    with pytest.raises(
        ManifestError, match=rf"^{file} has {key} '512', expected a number of tokens: correct or remove"
    ):
        serving_from_hub_files(tmp_path, dimension=8)
