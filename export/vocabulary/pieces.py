"""What a tokenizer.json says of its pieces, read from its JSON: the library's own objects do not tell everything."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from embedrt.errors import CheckpointError

__all__ = ["Pieces"]

_KINDS = ("WordPiece", "BPE", "Unigram", "WordLevel")
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class Pieces:
    """The pieces of a tokenizer, by their ids.

    Args:
        content: the tokenizer.json, parsed.

    Raises:
        CheckpointError: a tokenizer model of another kind.
    """

    content: dict[str, Any]

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise CheckpointError(
                f"the tokenizer is a {self.kind}; the vocabulary of {', '.join(_KINDS)} can be trimmed"
            )

    @property
    def model(self) -> dict[str, Any]:
        """The part that cuts words into pieces."""
        model: dict[str, Any] = self.content["model"]
        return model

    @property
    def kind(self) -> str:
        """WordPiece, BPE, Unigram or WordLevel."""
        return str(self.model.get("type"))

    @cached_property
    def ids(self) -> dict[str, int]:
        """The model's own pieces, without what was only added."""
        vocabulary = self.model["vocab"]
        if self.kind == "Unigram":
            return {piece: number for number, (piece, _) in enumerate(vocabulary)}
        return dict(vocabulary)

    @cached_property
    def added(self) -> dict[str, int]:
        """Tokens that are found in a text before it is cut, special ones among them."""
        return {token["content"]: int(token["id"]) for token in self.content["added_tokens"]}

    @cached_property
    def all_ids(self) -> dict[str, int]:
        """Every piece and token."""
        return self.ids | self.added

    @property
    def size(self) -> int:
        """One more than the largest id."""
        return max(self.all_ids.values(), default=-1) + 1

    @property
    def unknown(self) -> int | None:
        """The id that stands for what cannot be cut."""
        if self.kind == "Unigram":
            return self.model.get("unk_id")
        return self.all_ids.get(self.model.get("unk_token") or "")

    @property
    def prefix(self) -> str:
        """What pieces inside of a word begin with: ``##``, or nothing."""
        return self.model.get("continuing_subword_prefix") or ""

    @property
    def suffix(self) -> str:
        """What pieces at the end of a word end with: ``</w>``, or nothing."""
        return self.model.get("end_of_word_suffix") or ""

    @property
    def is_byte_level(self) -> bool:
        """Whether pieces consist of bytes, each written as a character of its own."""
        return "ByteLevel" in _types(self.content.get("pre_tokenizer")) | _types(self.content.get("normalizer"))

    def bare(self, piece: str) -> str:
        """``piece`` without the marks of its place in a word.

        >>> Pieces({"model": {"type": "WordPiece", "vocab": {}, "continuing_subword_prefix": "##"}}).bare("##ing")
        'ing'
        """
        without = piece.removeprefix(self.prefix) if self.prefix else piece
        return without.removesuffix(self.suffix) if self.suffix else without

    def of_bytes(self) -> set[int]:
        """Pieces such as ``<0xE4>``, which stand for bytes of characters that have no piece."""
        return {number for piece, number in self.ids.items() if _BYTE.fullmatch(piece)}


def _types(part: Any) -> set[str]:
    """The types of a normalizer or pre-tokenizer and of all that it consists of."""
    if not isinstance(part, dict):
        return set()
    inner = [*part.get("pretokenizers", []), *part.get("normalizers", [])]
    return {str(part.get("type"))}.union(*map(_types, inner))
