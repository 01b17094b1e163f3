"""An XLM-R-sized vocabulary, made up, and what trimming saves of it for English and Chinese sentences.

The real vocabulary is at no hub that can be reached from here. This one is as large, a SentencePiece Unigram model too: English
pieces are those of MiniLM's vocabulary, Chinese ones the characters of bert-base-chinese's, and the rest are random strings in
other scripts, as the pieces of a hundred languages are to a user of two.
"""

import math
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from embedrt_bench.models.minilm import checkpoint_folder
from embedrt_bench.texts.data import sts_texts, sts_zh_texts
from embedrt_export.source.loading import load_checkpoint
from embedrt_export.vocabulary import trim
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

__all__ = ["xlmr_sized"]

PIECES, WIDTH = 250_002, 384
_LAYERS, _HEADS, _INNER = 12, 12, 1536  # of multilingual MiniLM
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_SCRIPTS = (
    (0x400, 0x44F),
    (0x391, 0x3C9),
    (0x5D0, 0x5EA),
    (0x621, 0x64A),
    (0x905, 0x939),
    (0xE01, 0xE2E),
    (0xAC00, 0xD7A3),
)


def xlmr_sized(data: Path) -> dict[str, Any]:
    """Build, trim and tell: pieces and bytes, for English, Chinese and both."""
    texts = {"English": sts_texts(data), "Chinese": sts_zh_texts(data, "train", "valid", "test")}
    texts["English and Chinese"] = [*texts["English"], *texts["Chinese"]]
    with tempfile.TemporaryDirectory() as place:
        folder = _save(Path(place) / "checkpoint", data)
        return {name: _trimmed(folder, some, Path(place)) for name, some in texts.items()}


def _trimmed(folder: Path, texts: list[str], place: Path) -> dict[str, Any]:
    file = place / "texts.txt"
    file.write_text("\n".join(dict.fromkeys(texts)), encoding="utf-8")
    checkpoint = load_checkpoint(str(folder), pooling=["mean"])
    before = sum(weight.nbytes for weight in checkpoint.transformer.parameters())
    started = time.perf_counter()
    made = trim(checkpoint, [file])
    return {
        "texts": made.texts, "pieces_before": made.pieces_before, "pieces": made.pieces, "bytes_before": before,
        "bytes_saved": made.bytes_saved, "seconds": time.perf_counter() - started,
    }  # fmt: skip


def _save(folder: Path, data: Path) -> Path:
    tokenizer = _tokenizer(data)
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=PIECES, hidden_size=WIDTH, num_hidden_layers=_LAYERS, num_attention_heads=_HEADS,
        intermediate_size=_INNER, max_position_embeddings=514, pad_token_id=1,
    )  # fmt: skip
    XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(data: Path) -> PreTrainedTokenizerFast:
    pieces = [*_SPECIAL, *_pieces(data)]
    scored = [(piece, 0.0 if piece in _SPECIAL else -math.log(rank + 10)) for rank, piece in enumerate(pieces)]
    tokenizer = Tokenizer(models.Unigram([*scored, ("<mask>", 0.0)], unk_id=_SPECIAL.index("<unk>")))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    ends = [(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    roles = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=512,
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        **roles,
    )


def _pieces(data: Path) -> list[str]:
    """``PIECES`` less the special ones, in an order that mixes languages."""
    words = Tokenizer.from_file(str(checkpoint_folder() / "tokenizer.json")).get_vocab()
    english = [word[2:] if word.startswith("##") else f"▁{word}" for word in words if not word.startswith("[")]
    listed = (data / "vocab" / "bert-base-chinese.txt").read_text(encoding="utf-8").split("\n")
    chinese = [piece for piece in listed if len(piece) == 1]
    chooser = random.Random(0)
    known = dict.fromkeys(["▁", *english, *chinese])
    while len(known) < PIECES - len(_SPECIAL) - 1:
        first, last = chooser.choice(_SCRIPTS)
        body = "".join(chr(chooser.randint(first, last)) for _ in range(chooser.randint(1, 8)))
        known[("▁" if chooser.random() < 0.5 else "") + body] = None
    mixed = list(known)
    chooser.shuffle(mixed)
    return mixed
