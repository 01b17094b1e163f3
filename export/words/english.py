"""sentence-transformers' stop words of English."""

from sentence_transformers.sentence_transformer.modules.tokenizer import ENGLISH_STOP_WORDS

__all__ = ["ENGLISH"]

ENGLISH: tuple[str, ...] = tuple(ENGLISH_STOP_WORDS)
