"""What a request asks to have embedded: texts or token ids, and how they are made fit for a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from embedrt.errors import InputError
from embedrt.server.refusals import Refusal
from embedrt.server.settings import Limits
from embedrt.text.tokenizer import TextTokenizer, TokenRows, token_rows

__all__ = ["Inputs", "Item", "require_tokens", "tokenized", "tokenized_pairs"]

Item = str | list[int]
"""A text, or the token ids of one as ``/tokenize`` gives them, special tokens included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What is to be embedded, and how."""

    items: Sequence[Item]
    prompt_name: str | None = None
    truncate: bool = True
    """Whether longer texts are cut; else they are refused."""
    side: Literal["left", "right"] = "right"
    """Where they are cut."""

    @property
    def characters(self) -> int:
        """Characters of all texts; an id counts as one."""
        return sum(map(len, self.items))


def tokenized(
    tokenizer: TextTokenizer, inputs: Inputs, prefix: str, limits: Limits, *, special_tokens: bool = True
) -> TokenRows:
    """Token rows of the items, ``prefix`` put before each text; ids are taken as they are.

    Raises:
        Refusal: a text is too long and is not to be cut, the tokenizer cannot take it, or there are too many tokens.
    """
    try:
        rows = _rows(tokenizer, inputs, prefix, special_tokens=special_tokens)
    except InputError as error:
        raise Refusal("tokenizer", "tokenizer error: a text is not valid Unicode") from error
    return _within(rows, limits)


def tokenized_pairs(
    tokenizer: TextTokenizer, pairs: Sequence[tuple[str, ...]], inputs: Inputs, limits: Limits, *, with_types: bool
) -> TokenRows:
    """Token rows of pairs, or of texts alone; ``inputs`` says whether longer ones are cut.

    Raises:
        Refusal: as :func:`tokenized`, and where a cut on the left is asked for.
    """
    if inputs.side == "left":
        raise Refusal("validation", "pairs are cut on the right only", param="truncation_direction")
    try:
        rows = tokenizer.encode_pairs(pairs, with_types=with_types)
    except InputError as error:
        raise Refusal("tokenizer", "tokenizer error: a text is not valid Unicode") from error
    limit = tokenizer.max_seq_length
    if not inputs.truncate and any(
        length == limit and tokenizer.is_cut(pair) for length, pair in zip(rows.lengths, pairs, strict=True)
    ):
        raise Refusal("validation", f"Input validation error: a pair has more than {limit} tokens")
    return _within(rows, limits)


def _within(rows: TokenRows, limits: Limits) -> TokenRows:
    require_tokens(limits, len(rows.ids))
    return rows


def require_tokens(limits: Limits, total: int) -> None:
    """Refuse more tokens than a request may have.

    Raises:
        Refusal: there are more.
    """
    if total > limits.tokens:
        raise Refusal("validation", f"the inputs have {total} tokens, at most {limits.tokens} are allowed in a request")


def _rows(tokenizer: TextTokenizer, inputs: Inputs, prefix: str, *, special_tokens: bool) -> TokenRows:
    if inputs.truncate and inputs.side == "right" and all(isinstance(item, str) for item in inputs.items):
        texts = [prefix + str(item) for item in inputs.items]
        return tokenizer.encode(texts, special_tokens=special_tokens)
    return token_rows([_row(tokenizer, item, inputs, prefix, special_tokens=special_tokens) for item in inputs.items])


def _row(tokenizer: TextTokenizer, item: Item, inputs: Inputs, prefix: str, *, special_tokens: bool) -> list[int]:
    """The ids of one item, cut as asked for; special tokens at its ends stay."""
    limit = tokenizer.max_seq_length
    if isinstance(item, str):
        pieces = tokenizer.pieces(prefix + item, special_tokens=special_tokens)
        ids = [piece.id for piece in pieces]
        flags = [piece.special for piece in pieces]
    else:
        ids = item
        flags = _special_ends(tokenizer, item)
    if limit is None or len(ids) <= limit:
        return ids
    if not inputs.truncate:
        raise Refusal(
            "validation", f"Input validation error: `inputs` must have less than {limit} tokens. Given: {len(ids)}"
        )
    leading, ending = _ends(flags)
    room = max(0, limit - leading - ending)
    middle = ids[leading : len(ids) - ending]
    kept = middle[len(middle) - room :] if inputs.side == "left" else middle[:room]
    return [*ids[:leading], *kept, *ids[len(ids) - ending :]]


def _ends(flags: list[bool]) -> tuple[int, int]:
    """How many special tokens a row begins and ends with."""
    leading = next((index for index, special in enumerate(flags) if not special), len(flags))
    ending = next((index for index, special in enumerate(reversed(flags[leading:])) if not special), 0)
    return leading, ending


def _special_ends(tokenizer: TextTokenizer, ids: list[int]) -> list[bool]:
    """Which of the ids are the special tokens that the tokenizer puts around a text."""
    around = {int(number) for number in tokenizer.encode([""]).ids}
    return [number in around for number in ids]
