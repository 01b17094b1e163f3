"""``embedrt export --whiten``: the graph gives what float64 makes of the checkpoint's own vectors."""

from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import pytest
from embedrt_bench.compatibility.architectures import save_checkpoint
from embedrt_export.changes import Changes
from embedrt_export.quantization.calibration import calibration_texts, held_out_texts
from embedrt_export.whitening import moments_of, whitened, whitening_of
from sentence_transformers import SentenceTransformer
from typer.testing import CliRunner

from embedrt import SentenceEncoder
from embedrt.artifact.folder import locate
from embedrt.cli import app
from embedrt.errors import InputError

CORPUS = calibration_texts(None)
TEXTS = [*held_out_texts()[:40], "", "x"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("whitened")
    checkpoint = save_checkpoint("bert", place / "checkpoint", pooling="mean")
    corpus = place / "corpus.txt"
    corpus.write_text("\n".join(CORPUS), encoding="utf-8")
    result = CliRunner().invoke(
        app, ["export", str(checkpoint), str(place / "out"), "--whiten", str(corpus), "--dims", "12"]
    )
    assert result.exit_code == 0, result.output
    assert f"{len(CORPUS)} texts" in result.stderr
    assert "12 wide" in result.stderr
    return {name: place / name for name in ("checkpoint", "corpus.txt", "out")}


def expected(checkpoint: Path, texts: list[str], dims: int | None = None) -> Any:
    """The checkpoint's vectors by sentence-transformers, whitened in float64."""
    model = SentenceTransformer(str(checkpoint), device="cpu")
    return whitened(model.encode(texts), whitening_of(moments_of([model.encode(CORPUS)]), dims))


def test_the_graph_against_float64(made: dict[str, Path]) -> None:
    found = SentenceEncoder(made["out"]).encode(TEXTS)
    assert found.shape == (len(TEXTS), 12)
    np.testing.assert_allclose(found, expected(made["checkpoint"], TEXTS, 12), rtol=0, atol=1e-5)


def test_the_same_text_has_the_same_bits(made: dict[str, Path]) -> None:
    encoder = SentenceEncoder(made["out"])
    np.testing.assert_array_equal(encoder.encode(TEXTS), np.stack([encoder.encode(text) for text in TEXTS]))


def test_the_artifact_tells(made: dict[str, Path]) -> None:
    manifest = locate(made["out"]).manifest
    assert manifest is not None
    assert manifest.source.derivation is not None
    whitening = manifest.source.derivation.whitening
    assert whitening is not None
    assert (whitening.texts, whitening.dimension) == (len(CORPUS), 12)
    assert 12 <= whitening.rank <= 32
    assert 0 < whitening.explained_variance < 1
    assert (manifest.serving.dimension, manifest.serving.normalize, manifest.serving.similarity) == (12, True, "cosine")
    assert "whitening.safetensors" in manifest.files
    assert f"Changed: whitened by {len(CORPUS)} texts: 12 of" in (made["out"] / "README.md").read_text(encoding="utf-8")


def test_verify_whitens_again(made: dict[str, Path]) -> None:
    _, parity = embedrt_export.verify(made["out"], against=str(made["checkpoint"]), quiet=True)
    assert parity.max_abs_difference <= 1e-5


def test_behind_a_checkpoint_that_cuts_its_vectors(made: dict[str, Path], tmp_path: Path) -> None:
    model = SentenceTransformer(str(made["checkpoint"]), device="cpu", truncate_dim=10)
    model.save(str(tmp_path / "checkpoint"))
    changes = Changes(whiten=made["corpus.txt"])
    manifest = embedrt_export.export(str(tmp_path / "checkpoint"), tmp_path / "out", changes=changes, quiet=True)
    assert manifest.serving.dimension <= 10
    found = SentenceEncoder(tmp_path / "out").encode(TEXTS)
    np.testing.assert_allclose(found, expected(tmp_path / "checkpoint", TEXTS), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("content", "dims", "message"),
    [
        ("one text\nand another", None, "holds 2 texts, expected at least 32"),
        ("\n".join(CORPUS[:40]), 40, "holds 40 texts, expected at least 41 for 40 dimensions"),
        ("\n".join(CORPUS), 33, r"vary in \d+ directions only"),
        ("the same\n" * 50, None, "the 50 texts of the corpus for whitening all have the same vector"),
    ],
    ids=["small", "small-for-dims", "wide", "repeated"],
)
def test_a_corpus_that_cannot_be_used(
    made: dict[str, Path], tmp_path: Path, content: str, dims: int | None, message: str
) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        embedrt_export.export(
            str(made["checkpoint"]), tmp_path / "out", changes=Changes(whiten=corpus, dims=dims), quiet=True
        )
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.txt"]


def test_dims_need_something_to_be_of() -> None:
    with pytest.raises(
        InputError, match="dims is for distilled or whitened vectors: pass --static or --whiten CORPUS too"
    ):
        Changes(dims=12)
    with pytest.raises(InputError, match="either distilled or whitened"):
        Changes(static=True, whiten=Path("corpus.txt"))
    with pytest.raises(InputError, match="dims is 0, expected at least 1"):
        Changes(dims=0, whiten=Path("corpus.txt"))
