"""Trimmed checkpoints of every architecture: the given texts keep their vectors, others have sane ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from embedrt_bench.compatibility.architectures import ARCHITECTURES, save_checkpoint
from embedrt_bench.compatibility.clip import save_clip
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.source.loading import load_checkpoint
from embedrt_export.vocabulary import keep_tokens, trim
from transformers import BertTokenizer, RobertaConfig, RobertaModel

from embedrt.errors import CheckpointError, InputError

KEPT_FOR = [
    "How do I reset my password?",
    "忘记密码怎么办？",
    "a photo of a cat",
    "cat",
    "The roof of a house",
    "Hello [MASK]",
]
OTHERS = [
    "A kitten sleeps on the warm roof.",
    "猫在屋顶上睡觉。",
    "Где вокзал?",
    "",
    "zyx 😀 qqq",
    "password roofs " * 30,
]


@pytest.fixture(scope="module")
def kept_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kept") / "texts.txt"
    path.write_text("\n".join(KEPT_FOR), encoding="utf-8")
    return path


SAVED: dict[str, Callable[[Path], Path]] = {
    **{name: (lambda folder, name=name: save_checkpoint(name, folder)) for name in ARCHITECTURES},  # type: ignore[misc]
    "clip": save_clip,
    "clip, the largest id ends a text": lambda folder: save_clip(folder, named_end=False),
}


@pytest.mark.parametrize("name", SAVED)
def test_every_architecture(name: str, tmp_path: Path, kept_file: Path) -> None:
    folder = SAVED[name](tmp_path / "checkpoint")
    checkpoint = load_checkpoint(str(folder))
    original = load_checkpoint(str(folder))
    made = trim(checkpoint, [kept_file], quiet=True)
    np.testing.assert_array_equal(checkpoint.model.encode(KEPT_FOR), original.model.encode(KEPT_FOR))
    assert np.isfinite(checkpoint.model.encode(OTHERS)).all()
    table, whole = (loaded.transformer.get_input_embeddings() for loaded in (checkpoint, original))
    assert made.pieces == len(checkpoint.tokenizer) < made.pieces_before
    assert len(table.weight) <= len(checkpoint.tokenizer)
    assert made.bytes_saved == 4 * (len(whole.weight) - len(table.weight)) * table.weight.shape[1]
    assert checkpoint.transformer.config.vocab_size == len(table.weight)
    for role in ("pad", "bos", "eos", "cls", "sep", "mask"):
        _assert_same_token(checkpoint, original, f"{role}_token_id")


def _assert_same_token(checkpoint: Checkpoint, original: Checkpoint, key: str) -> None:
    """Ids in config.json still name the tokens that they named, where these are special."""
    before = getattr(original.transformer.config.get_text_config(), key, None)
    if before in original.tokenizer.all_special_ids:
        after = getattr(checkpoint.transformer.config.get_text_config(), key)
        assert checkpoint.tokenizer.convert_ids_to_tokens(after) == original.tokenizer.convert_ids_to_tokens(before)


def test_positions_stay_where_they_begin_behind_padding(tmp_path: Path) -> None:
    """RoBERTa counts positions from the id of padding: pieces before it stay, needed or not."""
    words = ["[UNK]", "gone", "[CLS]", "never", "[PAD]", "[SEP]", "cat", "sleeps", "roof"]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)}, model_max_length=16)
    config = RobertaConfig(
        vocab_size=len(words), pad_token_id=words.index("[PAD]"), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=32,
    )  # fmt: skip
    torch.manual_seed(0)
    RobertaModel(config).save_pretrained(tmp_path / "plain")
    tokenizer.save_pretrained(tmp_path / "plain")
    path = tmp_path / "texts.txt"
    path.write_text("cat sleeps\ncat", encoding="utf-8")
    checkpoint, original = (load_checkpoint(str(tmp_path / "plain"), pooling=["mean"]) for _ in range(2))
    trim(checkpoint, [path], quiet=True)
    assert "roof" not in checkpoint.tokenizer.get_vocab()
    assert checkpoint.transformer.config.pad_token_id == words.index("[PAD]")
    np.testing.assert_array_equal(checkpoint.model.encode(["cat sleeps"]), original.model.encode(["cat sleeps"]))


def test_rows_that_no_token_has_go(tmp_path: Path, kept_file: Path) -> None:
    """Tables are often filled up to a round number."""
    folder = save_checkpoint("bert", tmp_path / "checkpoint")
    checkpoint = load_checkpoint(str(folder))
    expected = checkpoint.model.encode(KEPT_FOR)
    checkpoint.transformer.resize_token_embeddings(1024, mean_resizing=False)
    trim(checkpoint, [kept_file], quiet=True)
    assert len(checkpoint.transformer.get_input_embeddings().weight) == len(checkpoint.tokenizer)
    np.testing.assert_array_equal(checkpoint.model.encode(KEPT_FOR), expected)


def test_texts_behind_prompts_keep_their_vectors(tmp_path: Path) -> None:
    """A prompt's pieces are in no text, and where it meets the text other pieces may arise."""
    folder = save_checkpoint("roberta", tmp_path / "checkpoint")
    path = tmp_path / "texts.txt"
    path.write_text("cat", encoding="utf-8")
    checkpoint, original = load_checkpoint(str(folder)), load_checkpoint(str(folder))
    for loaded in (checkpoint, original):
        loaded.model.prompts = {"query": "How do I reset a warm ", "document": ""}
    trim(checkpoint, [path], quiet=True)
    found, expected = (loaded.model.encode(["cat"], prompt_name="query") for loaded in (checkpoint, original))
    np.testing.assert_array_equal(found, expected)


def test_the_same_tokens_again(tmp_path: Path, kept_file: Path) -> None:
    """What verify does: it knows the tokens of the artifact, not the texts."""
    folder = save_checkpoint("gemma3_text", tmp_path / "checkpoint")
    first, second = load_checkpoint(str(folder)), load_checkpoint(str(folder))
    trim(first, [kept_file], quiet=True)
    keep_tokens(second, first.tokenizer.get_vocab())
    assert second.tokenizer.get_vocab() == first.tokenizer.get_vocab()
    np.testing.assert_array_equal(second.model.encode(KEPT_FOR), first.model.encode(KEPT_FOR))
    with pytest.raises(CheckpointError, match=r"lacks 'wholly new': it is not the one that was trimmed"):
        keep_tokens(second, ["wholly new"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"texts\.txt is not there: pass a UTF-8 text file"),
        (b"", r"texts\.txt holds no text"),
        (b"\xef\xbb\xbf\n  \n\r\n", r"holds no text"),
        (b"fine\ncaf\xe9\n", r"texts\.txt, line 2 is not UTF-8 text \(byte 3 of the line\)"),
        ("texts".encode("utf-16"), r"line 1 is not UTF-8 text \(byte 0"),
    ],
    ids=["missing", "empty", "blank", "latin-1", "utf-16"],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: bytes | None, message: str) -> None:
    checkpoint = load_checkpoint(str(save_checkpoint("bert", tmp_path / "checkpoint")))
    path = tmp_path / "texts.txt"
    if content is not None:
        path.write_bytes(content)
    before = len(checkpoint.tokenizer)
    with pytest.raises(InputError, match=message):
        trim(checkpoint, [path], quiet=True)
    assert len(checkpoint.tokenizer) == before


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(str(save_checkpoint("bert", tmp_path / "checkpoint")))
    with pytest.raises(InputError, match="is a folder"):
        trim(checkpoint, [tmp_path], quiet=True)


def test_several_files_a_byte_order_mark_and_other_line_ends(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(str(save_checkpoint("bert", tmp_path / "checkpoint")))
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_bytes("\ufeffA kitten sleeps\r\n".encode())
    second.write_bytes("忘记密码".encode())
    made = trim(checkpoint, [first, second], quiet=True)
    assert made.texts == 2
    assert "[UNK]" not in checkpoint.tokenizer.tokenize("A kitten sleeps 忘记密码")


def test_a_tokenizer_in_python_is_refused(tmp_path: Path, kept_file: Path) -> None:
    checkpoint = load_checkpoint(str(save_checkpoint("bert", tmp_path / "checkpoint")))
    checkpoint.model[0].processor = object()
    with pytest.raises(CheckpointError, match="runs in Python only: its vocabulary cannot be trimmed"):
        trim(checkpoint, [kept_file], quiet=True)
