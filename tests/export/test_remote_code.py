"""Checkpoints that bring Python code along: refused with the reason, unless the user says that it may run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from embedrt import SentenceEncoder
from embedrt.errors import CheckpointError

Run = Callable[..., Any]
TEXTS = ["how do i reset my password ?", "", "the cat sleeps on the roof .", "a " * 60]
CODE = '''
from transformers import BertConfig, BertModel


class DoubledConfig(BertConfig):
    model_type = "doubled"


class DoubledModel(BertModel):
    """A BERT whose last hidden state is doubled and shifted."""

    config_class = DoubledConfig

    def forward(self, *arguments, **options):
        output = super().forward(*arguments, **options)
        output.last_hidden_state = output.last_hidden_state * 2 + 1
        return output
'''


@pytest.fixture
def doubled(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint with code of its own."""
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "doubled")
    (folder / "modeling_doubled.py").write_text(CODE, encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    named = {"AutoConfig": "modeling_doubled.DoubledConfig", "AutoModel": "modeling_doubled.DoubledModel"}
    config |= {"model_type": "doubled", "architectures": ["DoubledModel"], "auto_map": named}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_refused_with_the_reason(doubled: Path, tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match="brings its own Python code: read it, and if you trust it, pass --trust-remote-code"
    ):
        embedrt_export.export(str(doubled), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


def test_traced_like_any_other_where_it_is_trusted(doubled: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    embedrt_export.export(str(doubled), tmp_path / "out", trust_remote_code=True, quiet=True)
    expected = SentenceTransformer(str(doubled), device="cpu", trust_remote_code=True).encode(TEXTS)
    with SentenceEncoder(tmp_path / "out") as encoder:
        found = encoder.encode(TEXTS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    plain = SentenceTransformer(str(tiny_checkpoint), device="cpu").encode(TEXTS)
    assert np.abs(found - plain).max() > 1e-2, "its code ran"


def test_verified_like_any_other_where_it_is_trusted(doubled: Path, tmp_path: Path, run: Run) -> None:
    embedrt_export.export(str(doubled), tmp_path / "out", trust_remote_code=True, quiet=True)
    command = ("verify", tmp_path / "out", "--against", doubled)
    refused = run(*command)
    assert refused.code == 1
    assert "if you trust it, pass --trust-remote-code" in " ".join(refused.err.split())
    trusted = run(*command, "--trust-remote-code", "--json")
    assert trusted.code == 0, trusted.err
    assert json.loads(trusted.out)["parity"]["max_abs_difference"] < 1e-5
