"""A static embedding of an encoder, as Model2Vec makes it: each token of the vocabulary run alone, PCA, weights by frequency.

    table = PCA(encoder([CLS] token [SEP])) ⊙ a / (a + p),   p of the token of rank r (from 2 on) ∝ 1 / r

Vocabularies are in the order of frequency, so that a token's rank is its place there, and Zipf's law its frequency; a is the
coefficient of SIF (Arora, Liang and Ma 2017). Tokens that no text needs go: special ones, and ``[unused…]``.

What comes out is compared with model2vec itself in the tests. Where model2vec runs the bare transformer and pools its own way,
here the checkpoint's own modules do, up to a closing normalization: lengths are among what PCA reads.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.static.embedding import LeftOutUnknown
from embedrt_export.vocabulary import plain_tokenizer
from embedrt_export.vocabulary.pieces import Pieces
from embedrt_export.vocabulary.renumber import renumbered
from embedrt_export.whitening import moments_of
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize
from tokenizers import Tokenizer

from embedrt.errors import InputError
from embedrt.progress import progress

__all__ = ["DIMS", "SIF", "Distilled", "distilled", "zipf_weights"]

DIMS = 256
"""Width where none is asked for, or that of the encoder if it is narrower."""
SIF = 1e-4
_LONGEST = 512
"""Tokens of a text that are read, as model2vec does."""
_BATCH = 256
_UNUSED = re.compile(r"\[unused\d+\]")
_PROBE = "a"

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distilled:
    """What came of it."""

    model: SentenceTransformer
    tokens: int
    explained_variance: float


def distilled(checkpoint: Checkpoint, dims: int | None = None, *, quiet: bool = False) -> Distilled:
    """The static embedding of a dense checkpoint.

    Raises:
        InputError: ``dims`` is more than the encoder's vectors are wide, or than there are tokens.
        CheckpointError: the tokenizer exists in Python only, or is of an unknown kind.
    """
    tokenizer = plain_tokenizer(checkpoint)
    pieces = Pieces(json.loads(tokenizer.to_str()))
    kept = _needed(pieces, checkpoint.tokenizer.pad_token_id)
    wanted = _width(dims, int(checkpoint.model.get_embedding_dimension()), len(kept))
    vectors = _token_vectors(checkpoint, tokenizer, kept, quiet=quiet)
    table, share = _principal(vectors, wanted)
    table *= zipf_weights(len(kept))[:, None]
    first = LeftOutUnknown(_bare(pieces, kept), table.astype(np.float32), max_length=_LONGEST)
    model = SentenceTransformer(modules=[first, Normalize()], device="cpu", similarity_fn_name="cosine")
    return Distilled(model=model, tokens=len(kept), explained_variance=share)


def _width(dims: int | None, width: int, tokens: int) -> int:
    most = min(width, tokens - 1)
    if dims is None:
        return min(DIMS, most)
    if dims > most:
        raise InputError(
            f"dims is {dims}, but the encoder's vectors are {width} wide and its vocabulary has {tokens} tokens: "
            f"pass --dims {most} or less"
        )
    return dims


def _needed(pieces: Pieces, padding: int | None) -> list[int]:
    """Ids that stay: all pieces, and of the tokens that were added those for unknown pieces and, as in model2vec, for padding."""
    gone = set(pieces.added.values()) - {pieces.unknown, padding}
    gone |= {number for piece, number in pieces.ids.items() if _UNUSED.match(piece)}
    return sorted(set(pieces.all_ids.values()) - gone)


def _bare(pieces: Pieces, kept: Sequence[int]) -> Tokenizer:
    """The tokenizer of ``kept`` without special tokens around a text; byte-level ones take the first word as any other."""
    content = dict(pieces.content) | {"post_processor": None, "padding": None, "truncation": None}
    content["pre_tokenizer"] = _with_prefix_space(pieces.content.get("pre_tokenizer"))
    return renumbered(Pieces(content), kept)


def _with_prefix_space(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    if part["type"] == "ByteLevel":
        return {**part, "add_prefix_space": True}
    return {
        **part,
        **({"pretokenizers": [*map(_with_prefix_space, part["pretokenizers"])]} if "pretokenizers" in part else {}),
    }


def _token_vectors(checkpoint: Checkpoint, tokenizer: Tokenizer, kept: Sequence[int], *, quiet: bool) -> Floats:
    """What the checkpoint gives for each token alone, before a closing normalization: (tokens, width)."""
    before, after = _around(tokenizer)
    width = int(checkpoint.model.get_embedding_dimension())
    rows: list[Floats] = []
    with progress(len(kept), shown=not quiet, doing="  distill", unit="token") as advance, torch.inference_mode():
        for batch in _batches(kept):
            ids = torch.tensor([[*before, number, *after] for number in batch])  # (batch, sequence)
            features: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            for module in checkpoint.model:
                if not isinstance(module, Normalize):
                    features = module(features)
            rows.append(features["sentence_embedding"][:, :width].numpy())
            advance(len(batch))
    return np.nan_to_num(np.concatenate(rows))


def _around(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Special tokens before and behind a text."""
    whole, bare = tokenizer.encode(_PROBE).ids, tokenizer.encode(_PROBE, add_special_tokens=False).ids
    at = next(start for start in range(len(whole) + 1) if whole[start : start + len(bare)] == bare)
    return whole[:at], whole[at + len(bare) :]


def _batches(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    return (numbers[at : at + _BATCH] for at in range(0, len(numbers), _BATCH))


def _principal(vectors: Floats, dims: int) -> tuple[Doubles, float]:
    """``vectors`` in their first ``dims`` principal directions, (tokens, dims), and the share of the variance in these."""
    moments = moments_of([vectors])
    variances, directions = np.linalg.eigh(moments.covariance)
    variances, directions = variances[::-1].clip(min=0), directions[:, ::-1]
    scores = (vectors.astype(np.float64) - moments.mean) @ directions[:, :dims]
    signs = np.sign(scores[np.abs(scores).argmax(axis=0), np.arange(dims)])  # the same on every machine
    return scores * signs, float(variances[:dims].sum() / variances.sum())


def zipf_weights(tokens: int, sif: float = SIF) -> Doubles:
    """The weight a / (a + p) of each token, by its place in the vocabulary, (tokens,).

    >>> zipf_weights(3, 0.5).round(3)
    array([0.52 , 0.619, 0.684])
    """
    inverse = 1 / np.arange(2, tokens + 2)
    weights: Doubles = sif / (sif + inverse / inverse.sum())
    return weights
