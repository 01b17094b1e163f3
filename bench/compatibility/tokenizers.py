"""Tokenizers of the three kinds that checkpoints have, trained in a moment on a few sentences of many scripts."""

from collections.abc import Callable
from typing import Literal

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

__all__ = ["TokenizerKind", "small_tokenizer"]

TokenizerKind = Literal["wordpiece", "byte-level bpe", "unigram"]
SENTENCES = (
    "How do I reset my password? The old phone is gone for good.",
    "A kitten sleeps on the warm roof while it is raining in the valley.",
    "忘记密码怎么办？旧手机找不到了。",
    "猫在屋顶上睡觉，山谷里下着雨。",
    "Где находится вокзал? Поезд уходит в семь часов.",
    "パスワードを忘れました。どうすればいいですか。",
    "¿Dónde está la biblioteca? Cierra a las ocho, ¡date prisa!",
    "كيف أعيد تعيين كلمة المرور؟",
)
_VOCABULARY = 400


def small_tokenizer(kind: TokenizerKind, *, max_length: int, padding_side: str = "right") -> PreTrainedTokenizerFast:
    """A tokenizer of ``kind`` with some hundred pieces, as transformers saves it; texts longer than ``max_length`` are cut."""
    tokenizer = _KINDS[kind]()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        padding_side=padding_side,
        **dict(zip(_ROLES, _SPECIAL[kind], strict=True)),
    )


_ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
_SPECIAL: dict[TokenizerKind, tuple[str, ...]] = {
    "wordpiece": ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    "byte-level bpe": ("<pad>", "<unk>", "<s>", "</s>", "<mask>"),
    "unigram": ("<pad>", "<unk>", "<s>", "</s>", "<mask>"),
}


def _wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=_VOCABULARY, special_tokens=list(_SPECIAL["wordpiece"]))
    return _trained(tokenizer, trainer, "wordpiece")


def _byte_level_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(_SPECIAL["byte-level bpe"]),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    return _trained(tokenizer, trainer, "byte-level bpe")


def _unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=_VOCABULARY, special_tokens=list(_SPECIAL["unigram"]), unk_token="<unk>"
    )
    return _trained(tokenizer, trainer, "unigram")


def _trained(tokenizer: Tokenizer, trainer: trainers.Trainer, kind: TokenizerKind) -> Tokenizer:
    tokenizer.train_from_iterator(SENTENCES, trainer)
    first, last = _SPECIAL[kind][2:4]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in (first, last)],
    )
    return tokenizer


_KINDS: dict[TokenizerKind, Callable[[], Tokenizer]] = {
    "wordpiece": _wordpiece,
    "byte-level bpe": _byte_level_bpe,
    "unigram": _unigram,
}
