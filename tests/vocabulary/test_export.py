"""``embedrt export --keep-vocabulary-of``: a smaller artifact with the same bits for the given texts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import pytest
from embedrt_bench.compatibility.architectures import save_checkpoint
from embedrt_export.changes import Changes
from typer.testing import CliRunner

from embedrt import SentenceEncoder
from embedrt.artifact.folder import locate
from embedrt.cli import app

Build = Callable[..., Path]
KEPT_FOR = ["How do I reset my password?", "忘记密码怎么办？", "The old phone is gone for good.", "cat " * 60]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """XLM-R as it is, and trimmed, with the texts."""
    place = tmp_path_factory.mktemp("trimmed")
    checkpoint = save_checkpoint("xlm-roberta", place / "checkpoint")
    texts = place / "texts.txt"
    texts.write_text("\n".join(KEPT_FOR), encoding="utf-8")
    options: dict[str, Any] = {"quiet": True}
    embedrt_export.export(str(checkpoint), place / "whole", **options)
    embedrt_export.export(str(checkpoint), place / "small", changes=Changes(keep_vocabulary_of=(texts,)), **options)
    return {name: place / name for name in ("checkpoint", "texts.txt", "whole", "small")}


def test_the_texts_have_the_same_bits(made: dict[str, Path]) -> None:
    whole, small = SentenceEncoder(made["whole"]), SentenceEncoder(made["small"])
    np.testing.assert_array_equal(small.encode(KEPT_FOR), whole.encode(KEPT_FOR))
    np.testing.assert_array_equal(
        SentenceEncoder(made["small"], variant="fp32").encode(KEPT_FOR[::-1]), whole.encode(KEPT_FOR)[::-1]
    )


def test_other_texts_have_sane_vectors(made: dict[str, Path]) -> None:
    vectors = SentenceEncoder(made["small"]).encode(["猫在屋顶上睡觉。", "Где вокзал?", "", "Zebra crossings 😀"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_the_artifact_tells(made: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    whole, small = (locate(made[name]).manifest for name in ("whole", "small"))
    assert whole is not None
    assert small is not None
    assert small.source.derivation is not None
    trimming = small.source.derivation.trimming
    assert trimming is not None
    assert whole.source.derivation is None
    less = whole.files["onnx/model.onnx"].bytes - small.files["onnx/model.onnx"].bytes
    assert abs(less - trimming.bytes_saved) < 100
    config = json.loads((made["small"] / "config.json").read_text(encoding="utf-8"))
    assert (
        config["vocab_size"]
        == trimming.pieces
        == len(json.loads((made["small"] / "tokenizer.json").read_text())["model"]["vocab"])
    )
    assert 0 < trimming.cut_otherwise < 40
    assert trimming.cosine_of_these is not None
    assert -1 <= trimming.cosine_of_these < 1
    sentence = f"vocabulary trimmed to {trimming.pieces} of {trimming.pieces_before} pieces, those of 4 texts"
    assert f"Changed: {sentence}" in (made["small"] / "README.md").read_text(encoding="utf-8")
    shown = CliRunner().invoke(app, ["inspect", str(made["small"])]).stdout
    assert sentence[:40] in " ".join(shown.split())


def test_verify_makes_the_same_changes_again(made: dict[str, Path]) -> None:
    _, parity = embedrt_export.verify(made["small"], against=str(made["checkpoint"]), quiet=True)
    assert parity.max_abs_difference <= 1e-5


def test_the_command(made: dict[str, Path], tmp_path: Path) -> None:
    arguments: list[Any] = ["export", made["checkpoint"], tmp_path / "out", "--keep-vocabulary-of", made["texts.txt"]]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "pieces for 4 texts" in result.stderr
    assert "MB saved" in result.stderr
    small, found = locate(made["small"]).manifest, locate(tmp_path / "out").manifest
    assert small is not None
    assert found is not None
    assert found.source == small.source


def test_a_file_that_is_not_there_costs_nothing(made: dict[str, Path], tmp_path: Path) -> None:
    arguments = ["export", str(made["checkpoint"]), str(tmp_path / "out"), "--keep-vocabulary-of", "nowhere.txt"]
    result = CliRunner().invoke(app, arguments)
    assert "nowhere.txt is not there" in str(result.exception)
    assert list(tmp_path.iterdir()) == []
