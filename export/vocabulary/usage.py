"""Which pieces texts are cut into, text by text, in bounded memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from embedrt_export.user_texts import in_chunks
from embedrt_export.vocabulary.closure import prefixes_tried
from embedrt_export.vocabulary.pieces import Pieces
from tokenizers import Tokenizer

from embedrt.errors import CheckpointError
from embedrt.progress import Advance

__all__ = ["Usage", "require_same_cuts", "usage", "words_of"]

_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Usage:
    """What the texts need."""

    used: set[int]
    """Ids that they are cut into, and for WordPiece those that were tried on unknown words."""
    texts: int


def usage(
    tokenizer: Tokenizer, pieces: Pieces, texts: Iterable[str], prompts: Sequence[str], advance: Advance
) -> Usage:
    """Cut every text, by itself and behind every prompt; ``advance`` is told bytes."""
    seen = np.zeros(pieces.size, dtype=bool)
    tried: set[int] = set()
    count = 0
    for chunk in in_chunks(texts, _CHUNK):
        for prompted in _prompted(chunk, prompts):
            ids = _ids(tokenizer, prompted)
            seen[np.concatenate(ids)] = True
            if pieces.kind == "WordPiece":
                tried |= _tried(tokenizer, pieces, prompted, ids)
        count += len(chunk)
        advance(_size(chunk))
    return Usage(set(np.flatnonzero(seen).tolist()) | tried, count)


def _prompted(texts: list[str], prompts: Sequence[str]) -> Iterator[list[str]]:
    yield texts
    for prompt in dict.fromkeys(prompts):
        if prompt:
            yield [prompt + text for text in texts]


def _size(texts: list[str]) -> int:
    return sum(len(text.encode("utf-8")) + 1 for text in texts)


def _ids(tokenizer: Tokenizer, texts: list[str]) -> list[npt.NDArray[np.int64]]:
    return [np.array(encoding.ids, dtype=np.int64) for encoding in tokenizer.encode_batch_fast(texts)]


def _tried(tokenizer: Tokenizer, pieces: Pieces, texts: list[str], ids: list[npt.NDArray[np.int64]]) -> set[int]:
    """Prefixes of the words of texts in which something is unknown."""
    words = {
        word
        for text, row in zip(texts, ids, strict=True)
        if bool((row == pieces.unknown).any())
        for word in words_of(tokenizer, text)
    }
    return set().union(*(prefixes_tried(pieces, word) for word in words))


def words_of(tokenizer: Tokenizer, text: str) -> list[str]:
    """``text`` normalized and split, as it comes before the tokenizer's model."""
    normal = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer is not None else text
    if tokenizer.pre_tokenizer is None:
        return [normal]
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)]


def require_same_cuts(
    before: Tokenizer,
    after: Tokenizer,
    kept: npt.NDArray[np.int64],
    texts: Iterable[str],
    prompts: Sequence[str],
    advance: Advance,
) -> None:
    """Refuse a trimmed tokenizer that cuts one of ``texts`` otherwise: id i of ``after`` must be id ``kept[i]`` of ``before``.

    Raises:
        CheckpointError: it does; the text is named.
    """
    for chunk in in_chunks(texts, _CHUNK):
        for prompted in _prompted(chunk, prompts):
            for text, old, new in zip(prompted, _ids(before, prompted), _ids(after, prompted), strict=True):
                if not np.array_equal(old, kept[new]):
                    raise CheckpointError(
                        f"with the trimmed vocabulary {text!r:.60} is cut otherwise: "
                        "this tokenizer's vocabulary cannot be trimmed"
                    )
        advance(_size(chunk))
