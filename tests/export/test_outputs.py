"""Settings that ask for other outputs of the transformer than the vectors of its last layer."""

import json
import shutil
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from embedrt import SentenceEncoder
from embedrt.errors import CheckpointError

LIMITS = "sentence_bert_config.json"
FOUND = rf"^{LIMITS} has modality_config\.text\.method_output_name"


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """One to be changed."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint")


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def reads(output: object, name: str) -> dict[str, object]:
    text = {"method": "forward", "method_output_name": output}
    return {"modality_config": {"text": text}, "module_output_name": name}


@pytest.mark.parametrize(
    ("output", "name", "message"),
    [
        (
            ["hidden_states", -2],
            "token_embeddings",
            rf"{FOUND} \['hidden_states', -2\], expected 'last_hidden_state': an art",
        ),
        ("pooler_output", "sentence_embedding", rf"{FOUND} 'pooler_output', expected 'last_hidden_state'"),
        (
            "last_hidden_state",
            "tokens",
            rf"^{LIMITS} has module_output_name 'tokens', expected 'token_embeddings', which pool",
        ),
    ],
)
def test_they_are_named(checkpoint: Path, tmp_path: Path, output: object, name: str, message: str) -> None:
    edit(checkpoint / LIMITS, **reads(output, name))
    with pytest.raises(CheckpointError, match=message):
        embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"return_dict": False}),
        (LIMITS, {"config_kwargs": {"return_dict": False}}),
        (LIMITS, reads(["hidden_states", -1], "token_embeddings")),
    ],
    ids=["without names", "without names, by sentence-transformers", "last of all"],
)
def test_the_same_by_another_name(checkpoint: Path, tmp_path: Path, file: str, changes: dict[str, Any]) -> None:
    """sentence-transformers asks for names in each call."""
    expected = SentenceTransformer(str(checkpoint), device="cpu").encode("the cat sleeps")
    edit(checkpoint / file, **changes)
    embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    with SentenceEncoder(tmp_path / "out") as encoder:
        np.testing.assert_allclose(encoder.encode("the cat sleeps"), expected, atol=1e-6)
