"""``embedrt export --static`` against model2vec's own distillation of the same checkpoint."""

from itertools import pairwise
from pathlib import Path

import embedrt_export
import numpy as np
import pytest
from embedrt_bench.compatibility.architectures import save_checkpoint, save_plain
from embedrt_bench.compatibility.tokenizers import SENTENCES, TokenizerKind
from embedrt_export.changes import Changes
from embedrt_export.changes.distillation import distilled, zipf_weights
from embedrt_export.quantization.calibration import held_out_texts
from embedrt_export.source.loading import load_checkpoint
from model2vec.distill import distill
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

from embedrt import SentenceEncoder
from embedrt.artifact.folder import locate
from embedrt.cli import app
from embedrt.errors import CheckpointError, InputError

TEXTS = [*SENTENCES, "password", "a warm roof", "😀 龘"]  # of the last text the tokenizer knows nothing
WIDTH, DIMS = 32, 16


@pytest.mark.parametrize(
    ("architecture", "tokenizer"),
    [("bert", "wordpiece"), ("xlm-roberta", "unigram"), ("roberta", "byte-level bpe")],
)
@pytest.mark.filterwarnings("ignore")
def test_the_table_is_model2vecs(tmp_path: Path, architecture: str, tokenizer: TokenizerKind) -> None:
    plain = save_plain(architecture, tmp_path / "plain", tokenizer=tokenizer)
    _with_padding(plain)
    theirs = distill(str(plain), pca_dims=DIMS, quantize_to="float32", device="cpu")
    ours = distilled(load_checkpoint(str(plain), pooling=["mean"]), DIMS, quiet=True)
    table = ours.model[0].embedding.weight.detach().numpy()
    assert ours.model[0].tokenizer.get_vocab() == theirs.tokenizer.get_vocab()
    np.testing.assert_allclose(table, theirs.embedding, rtol=0, atol=2e-4 * np.abs(theirs.embedding).max())
    np.testing.assert_allclose(ours.model.encode(TEXTS), theirs.encode(TEXTS), rtol=0, atol=1e-4)


def _with_padding(folder: Path) -> None:
    """As the tokenizer.json of published checkpoints has it: model2vec takes padding's token from there."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    backend = tokenizer.backend_tokenizer
    backend.enable_padding(pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token)
    backend.save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("distilled")
    checkpoint = save_checkpoint("bert", place / "checkpoint", pooling="mean")
    sts = place / "sts"
    sts.mkdir()
    rows = [f"{index % 6}\t{first}\t{second}" for index, (first, second) in enumerate(pairwise(SENTENCES))]
    (sts / "2013.own.test.tsv").write_text("\n".join(rows), encoding="utf-8")
    arguments = ["export", str(checkpoint), str(place / "out"), "--static", "--dims", str(DIMS), "--sts", str(sts)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert f"{DIMS} wide" in result.stderr
    assert "ranks of similarities agree to" in result.stderr
    assert "STS" in result.stderr
    return {name: place / name for name in ("checkpoint", "out", "sts")}


def test_the_artifact_has_no_transformer(made: dict[str, Path]) -> None:
    manifest = locate(made["out"]).manifest
    assert manifest is not None
    assert (manifest.serving.kind, manifest.serving.dimension, manifest.serving.normalize) == ("dense", DIMS, True)
    vectors = SentenceEncoder(made["out"]).encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1] * (len(TEXTS) - 1) + [0], atol=1e-6)
    expected = distilled(load_checkpoint(str(made["checkpoint"])), DIMS, quiet=True).model.encode(TEXTS)
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-6)


def test_the_report_says_what_it_costs(made: dict[str, Path]) -> None:
    manifest = locate(made["out"]).manifest
    assert manifest is not None
    assert manifest.source.derivation is not None
    report = manifest.source.derivation.distillation
    assert report is not None
    texts = held_out_texts()
    pairs = np.triu_indices(len(texts), k=1)
    before, after = (
        model.encode(texts)
        for model in (SentenceTransformer(str(made["checkpoint"]), device="cpu"), SentenceEncoder(made["out"]))
    )
    expected = spearmanr((before @ before.T)[pairs], (after @ after.T)[pairs]).statistic
    assert report.rank_correlation == pytest.approx(expected, abs=1e-3)
    assert set(report.sts_change) == {"STS13", "mean"}
    assert 0 < report.explained_variance < 1
    assert "Changed: distilled into a table of" in (made["out"] / "README.md").read_text(encoding="utf-8")


def test_verify_distills_again(made: dict[str, Path]) -> None:
    _, parity = embedrt_export.verify(made["out"], against=str(made["checkpoint"]), quiet=True)
    assert parity.max_abs_difference <= 1e-5


def test_a_trimmed_vocabulary_is_distilled(made: dict[str, Path], tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(SENTENCES[:2]), encoding="utf-8")
    changes = Changes(keep_vocabulary_of=(texts,), static=True, dims=8)
    manifest = embedrt_export.export(str(made["checkpoint"]), tmp_path / "out", changes=changes, quiet=True)
    derivation = manifest.source.derivation
    assert derivation is not None
    assert derivation.trimming is not None
    assert derivation.distillation is not None
    assert derivation.distillation.tokens < derivation.trimming.pieces < derivation.trimming.pieces_before
    _, parity = embedrt_export.verify(tmp_path / "out", against=str(made["checkpoint"]), quiet=True)
    assert parity.max_abs_difference <= 1e-5


def test_what_cannot_be_distilled(made: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"dims is 33, but the encoder's vectors are 32 wide .*: pass --dims 32 or less"
    ):
        distilled(load_checkpoint(str(made["checkpoint"])), 33, quiet=True)
    ours = distilled(load_checkpoint(str(made["checkpoint"])), quiet=True)
    assert ours.model.get_embedding_dimension() == WIDTH
    static = StaticEmbedding(ours.model.tokenizer, embedding_weights=ours.model[0].embedding.weight.detach())
    SentenceTransformer(modules=[static], device="cpu").save(str(tmp_path / "static"))
    with pytest.raises(
        CheckpointError, match="only dense encoders with a transformer can be distilled, and this one is static"
    ):
        embedrt_export.export(str(tmp_path / "static"), tmp_path / "out", changes=Changes(static=True), quiet=True)


def test_weights_follow_zipf() -> None:
    """By hand: of three tokens, ranks 2, 3 and 4 are 6/13, 4/13 and 3/13 of all texts."""
    np.testing.assert_allclose(zipf_weights(3, 0.1), [0.1 / (0.1 + part / 13) for part in (6, 4, 3)])
