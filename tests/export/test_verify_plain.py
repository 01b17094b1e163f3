"""Artifacts of plain checkpoints are verified wherever these lie, and by whatever command they were made."""

import shutil
from pathlib import Path

import embedrt_export
import pytest
from embedrt_bench.compatibility.tokenizers import small_tokenizer
from embedrt_bench.engines.tracing import trace_transformer
from embedrt_export.graft import GraftOptions, graft
from embedrt_export.source import place
from model2vec import StaticModel
from numpy.random import default_rng

from embedrt.errors import ParityError


@pytest.fixture(scope="module")
def pooled(plain_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("artifacts") / "pooled"
    embedrt_export.export(str(plain_bert), out, pooling=["cls"], quiet=True)
    return out


def test_by_hub_id(pooled: Path, plain_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "snapshot_download", lambda *_arguments, **_options: str(plain_bert))
    _, parity = embedrt_export.verify(pooled, against="someone/tiny-bert", quiet=True)
    assert parity.max_abs_difference <= 1e-5


def test_in_the_home_folder(pooled: Path, plain_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(plain_bert.parent))
    _, parity = embedrt_export.verify(pooled, against=f"~/{plain_bert.name}", quiet=True)
    assert parity.max_abs_difference <= 1e-5


def test_another_checkpoint_is_told_from_it(pooled: Path, mpnet_checkpoint: Path) -> None:
    with pytest.raises(ParityError):
        embedrt_export.verify(pooled, against=str(mpnet_checkpoint), quiet=True)


def test_model2vec(tmp_path: Path) -> None:
    tokenizer = small_tokenizer("wordpiece", max_length=48).backend_tokenizer
    vectors = default_rng(0).normal(size=(tokenizer.get_vocab_size(), 8)).astype("float32")
    StaticModel(vectors, tokenizer, config={"model_type": "model2vec"}).save_pretrained(tmp_path / "static")
    (tmp_path / "static/modules.json").unlink(missing_ok=True)
    embedrt_export.export(str(tmp_path / "static"), tmp_path / "out", quiet=True)
    _, parity = embedrt_export.verify(tmp_path / "out", against=str(tmp_path / "static"), quiet=True)
    assert parity.max_abs_difference <= 1e-5


@pytest.mark.filterwarnings("ignore")  # of the tracer, about its own deprecations
def test_grafted_and_normalized(plain_bert: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(plain_bert, tmp_path / "plain")
    trace_transformer(plain_bert, folder / "model.onnx")
    graft(folder, tmp_path / "out", options=GraftOptions(pooling=["mean"], normalize=True), quiet=True)
    _, parity = embedrt_export.verify(tmp_path / "out", against=str(plain_bert), quiet=True)
    assert parity.max_abs_difference <= 1e-5
