"""Files that are cut short or of another form, and settings that nothing can be: the file is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import embedrt_export
import pytest

from embedrt.errors import CheckpointError

MODULES, SETTINGS = "modules.json", "config_sentence_transformers.json"


def cut(content: str) -> str:
    return content[: len(content) // 2]


def pooling_first(content: str) -> str:
    first, second, *others = json.loads(content)
    return json.dumps([second, first, *others])


def without_path(content: str) -> str:
    modules = json.loads(content)
    del modules[1]["path"]
    return json.dumps(modules)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (MODULES, cut, r"checkpoint/modules\.json cannot be loaded, for it is not JSON \(.*\): download it again$"),
        ("1_Pooling/config.json", cut, r"1_Pooling/config\.json cannot be loaded, for it is not JSON"),
        ("tokenizer.json", cut, r"checkpoint/tokenizer\.json cannot be loaded, for it is not JSON"),
        (MODULES, lambda _: "{}", r"modules\.json holds a dict, expected a list of modules: download it again$"),
        (MODULES, without_path, r"modules\.json lists \{'idx': 1, .*, expected an object with type and path"),
        (
            MODULES,
            pooling_first,
            r"^modules\.json begins with a Pooling, expected what reads texts, as a Transformer does",
        ),
        ("sentence_bert_config.json", lambda _: "[]", r"sentence_bert_config\.json holds a list, expected an object"),
        (SETTINGS, lambda _: "[]", rf"^{SETTINGS} holds a list, expected an object: download it again$"),
        (
            SETTINGS,
            lambda _: '{"truncate_dim": 0}',
            rf"^{SETTINGS} has truncate_dim 0, expected a width of at least 1: corr",
        ),
    ],
)
def test_the_file_is_named(
    tiny_checkpoint: Path, tmp_path: Path, file: str, change: Callable[[str], str], message: str
) -> None:
    path = shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint") / file
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        embedrt_export.export(str(tmp_path / "checkpoint"), tmp_path / "out", quiet=True)
