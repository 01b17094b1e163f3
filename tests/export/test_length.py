"""Texts cut elsewhere than the checkpoint says: as sentence-transformers does once it is told so."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from embedrt_bench.compatibility.architectures import save_checkpoint
from embedrt_bench.compatibility.cross_encoders import save_cross_encoder
from embedrt_bench.compatibility.multi_vector import save_colbert
from embedrt_bench.compatibility.sparse import save_inference_free
from embedrt_export.changes import Changes
from embedrt_export.pipeline import export, verify
from sentence_transformers import CrossEncoder as Original
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize

from embedrt import CrossEncoder, SentenceEncoder
from embedrt.errors import CheckpointError, InputError

Build = Callable[..., Path]
TEXTS = ["how do i reset my password ? " * 8, "the cat", "忘记密码怎么办" * 7]


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


@pytest.mark.parametrize("limit", [8, 24, 40, 64])
def test_shorter_and_longer(build_checkpoint: Build, tmp_path: Path, limit: int) -> None:
    checkpoint = build_checkpoint("mean", [Normalize()])  # which says 24
    made = export(str(checkpoint), tmp_path / "out", changes=Changes(max_seq_length=limit), quiet=True)
    assert made.serving.max_seq_length == limit
    assert made.source.derivation is not None
    assert made.source.derivation.sentences() == [f"texts cut at {limit} tokens"]
    original = SentenceTransformer(str(checkpoint), device="cpu")
    original.max_seq_length = limit
    with SentenceEncoder(tmp_path / "out") as encoder:
        assert [len(row) for row in encoder.tokenize(TEXTS)] == [min(limit, size) for size in (58, 4, 51)]
        np.testing.assert_allclose(encoder.encode(TEXTS), original.encode(TEXTS), atol=1e-6)
    assert verify(tmp_path / "out", against=str(checkpoint), quiet=True)[0] == made


def test_pairs(tmp_path: Path) -> None:
    checkpoint = save_cross_encoder("MS-MARCO ELECTRA", tmp_path / "checkpoint")
    export(str(checkpoint), tmp_path / "out", changes=Changes(max_seq_length=60), quiet=True)
    original = Original(str(checkpoint), device="cpu")
    original.max_seq_length = 60
    pairs = [("how do i reset my password " * 9, "a cat sat on the mat " * 8), ("hello", "world")]
    with CrossEncoder(tmp_path / "out") as encoder:
        np.testing.assert_allclose(encoder.predict(pairs), original.predict(pairs), atol=1e-6)
    with pytest.raises(InputError, match="max_seq_length is 31, expected at least 32 for a pair"):
        export(str(checkpoint), tmp_path / "none", changes=Changes(max_seq_length=31), quiet=True)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (65, "max_seq_length is 65, and the model has position vectors for 64 tokens"),
        (2, "max_seq_length is 2, expected at least 3 for a text"),
    ],
)
def test_lengths_that_cannot_be_had(build_checkpoint: Build, tmp_path: Path, limit: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        export(str(build_checkpoint()), tmp_path / "out", changes=Changes(max_seq_length=limit), quiet=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", ["max_seq_length", "model_max_length"])
@pytest.mark.parametrize("limit", [3, 31])
def test_a_checkpoint_that_leaves_a_pair_no_room(tmp_path: Path, key: str, limit: int) -> None:
    """At 6 tokens transformers would keep gigabytes of what is cut off."""
    checkpoint = save_cross_encoder("MS-MARCO ELECTRA", tmp_path / "checkpoint")
    edit(
        checkpoint / "sentence_bert_config.json" if key == "max_seq_length" else checkpoint / "tokenizer_config.json",
        **{key: limit},
    )
    message = rf"^checkpoint cuts at {limit} tokens, expected at least 32 for a pair: correct max_seq_length in sentence_b.* pass"
    with pytest.raises(CheckpointError, match=message):
        export(str(checkpoint), tmp_path / "out", quiet=True)
    if limit == 3:  # what it says is of no matter once another length is passed
        made = export(str(checkpoint), tmp_path / "out", changes=Changes(max_seq_length=40), quiet=True)
        assert made.serving.max_seq_length == 40


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_checkpoint_that_leaves_a_text_no_room(build_checkpoint: Build, tmp_path: Path, limit: int) -> None:
    checkpoint = build_checkpoint()
    edit(checkpoint / "sentence_bert_config.json", max_seq_length=limit)
    if limit == 3:
        assert export(str(checkpoint), tmp_path / "out", quiet=True).serving.max_seq_length == 3
        return
    with pytest.raises(CheckpointError, match=rf"cuts at {limit} tokens, expected at least 3 for a text: correct"):
        export(str(checkpoint), tmp_path / "out", quiet=True)


def test_a_length_that_is_no_number(build_checkpoint: Build, tmp_path: Path) -> None:
    checkpoint = build_checkpoint()
    edit(checkpoint / "sentence_bert_config.json", max_seq_length="24")
    message = r"^sentence_bert_config\.json has max_seq_length '24', expected a number of tokens: correct or remove it$"
    with pytest.raises(CheckpointError, match=message):
        export(str(checkpoint), tmp_path / "out", quiet=True)


def test_models_of_several_lengths_or_none(tmp_path: Path) -> None:
    several = save_colbert("bert", tmp_path / "colbert"), save_inference_free(tmp_path / "splade")
    for checkpoint, kind in zip(several, ("multi-vector", "sparse"), strict=True):
        with pytest.raises(CheckpointError, match=f"not for this {kind} one: leave it out"):
            export(str(checkpoint), tmp_path / "out", changes=Changes(max_seq_length=9), quiet=True)
    with pytest.raises(InputError, match="leave out --static, or"):
        Changes(max_seq_length=9, static=True)


def test_the_command(build_checkpoint: Build, tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run("export", build_checkpoint(), tmp_path / "out", "--quiet", "--max-seq-length", "12")
    assert code == 0, err
    code, out, _ = run("inspect", tmp_path / "out")
    assert (code, "12 tokens" in out) == (0, True)


@pytest.mark.parametrize("key", ["query_length", "document_length"])
def test_lengths_by_role(build_checkpoint: Build, tmp_path: Path, key: str) -> None:
    """sentence-transformers cuts the texts of a role there; an artifact would not."""
    checkpoint = build_checkpoint()
    edit(checkpoint / "sentence_bert_config.json", **{key: 9})
    original = SentenceTransformer(str(checkpoint), device="cpu")
    encode = original.encode_query if key == "query_length" else original.encode_document
    assert np.abs(encode(TEXTS[0]) - original.encode(TEXTS[0])).max() > 1e-3
    message = rf"sentence_bert_config\.json has {key} 9, a length for one role.*remove the key, and set max_seq_length"
    with pytest.raises(CheckpointError, match=message):
        export(str(checkpoint), tmp_path / "out", quiet=True)


@pytest.mark.parametrize("name", ["sentence_bert_config.json", "sentence_roberta_config.json"])
def test_a_checkpoint_that_asks_for_more_than_its_positions(build_checkpoint: Build, tmp_path: Path, name: str) -> None:
    """The second name is one of those that sentence-transformers gave the file before its version 1."""
    checkpoint = build_checkpoint()
    (checkpoint / "sentence_bert_config.json").unlink()
    (checkpoint / name).write_text(json.dumps({"max_seq_length": 512}), encoding="utf-8")
    message = (
        rf"^{name} has max_seq_length 512, but .* for 64 tokens: set it to 64 or less, or pass --max-seq-length 64"
    )
    with pytest.raises(CheckpointError, match=message):
        export(str(checkpoint), tmp_path / "out", quiet=True)
    made = export(str(checkpoint), tmp_path / "out", changes=Changes(max_seq_length=64), quiet=True)
    assert made.serving.max_seq_length == 64
    assert verify(tmp_path / "out", against=str(checkpoint), quiet=True)[0] == made
    with pytest.raises(InputError, match="max_seq_length is 65, and the model has position vectors for 64 tokens"):
        export(str(checkpoint), tmp_path / "none", changes=Changes(max_seq_length=65), quiet=True)


def test_no_file_names_a_length_of_roberta(tmp_path: Path) -> None:
    """Of its 64 positions the first is for padding; sentence-transformers takes 64, and fails at long texts."""
    checkpoint = save_checkpoint("xlm-roberta", tmp_path / "checkpoint")
    (checkpoint / "sentence_bert_config.json").write_text("{}", encoding="utf-8")
    edit(checkpoint / "tokenizer_config.json", model_max_length=10**30)
    made = export(str(checkpoint), tmp_path / "out", quiet=True)
    assert made.serving.max_seq_length == 63
    original = SentenceTransformer(str(checkpoint), device="cpu")
    assert original.max_seq_length == 64
    original.max_seq_length = 63
    with SentenceEncoder(tmp_path / "out") as encoder:
        np.testing.assert_allclose(encoder.encode(TEXTS), original.encode(TEXTS), atol=1e-6)
    assert verify(tmp_path / "out", against=str(checkpoint), quiet=True)[0] == made


@pytest.mark.parametrize(
    "asked",
    [{"text": {"max_length": 8}}, {"common": {"padding": "max_length"}}, {"text": {"add_special_tokens": False}}],
)
def test_arguments_of_the_tokenizers_calls(build_checkpoint: Build, tmp_path: Path, asked: dict[str, object]) -> None:
    checkpoint = build_checkpoint()
    edit(checkpoint / "sentence_bert_config.json", processing_kwargs=asked)
    named = next(name for kinds in asked.values() for name in kinds)  # type: ignore[attr-defined]
    with pytest.raises(
        CheckpointError, match=rf"has processing_kwargs \{{'{named}': .*remove them; a length belongs in"
    ):
        export(str(checkpoint), tmp_path / "out", quiet=True)


def test_arguments_that_change_nothing(build_checkpoint: Build, tmp_path: Path) -> None:
    checkpoint = build_checkpoint()
    harmless = {"text": {"padding": True, "truncation": True}, "image": {"do_resize": True}}
    edit(checkpoint / "sentence_bert_config.json", processing_kwargs=harmless)
    export(str(checkpoint), tmp_path / "out", quiet=True)
