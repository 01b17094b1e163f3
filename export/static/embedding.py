"""How Model2Vec cuts a text: no special tokens, unknown pieces left out, and no more than so many of them."""

import json
from typing import Any

import torch
from embedrt_export.vocabulary.pieces import Pieces
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from torch import Tensor

__all__ = ["LeftOutUnknown", "unknown_of"]


def unknown_of(tokenizer: Tokenizer) -> int | None:
    """The id of what the tokenizer has no piece for; None: it knows everything."""
    return Pieces(json.loads(tokenizer.to_str())).unknown


class LeftOutUnknown(StaticEmbedding):
    """The mean of the vectors of all pieces that the tokenizer knows; zero where it knows none.

    sentence-transformers' own module counts an unknown piece as any other; model2vec's encoder leaves it out.
    """

    def __init__(self, tokenizer: Tokenizer, embedding_weights: Any, *, max_length: int | None) -> None:
        super().__init__(tokenizer, embedding_weights=embedding_weights)
        self.unknown = unknown_of(self.tokenizer)
        self._max_length = max_length
        self.tokenizer.no_truncation()
        if max_length is not None:
            self.tokenizer.enable_truncation(max_length)

    @property
    def max_seq_length(self) -> int | None:
        """Tokens, unknown ones included."""
        return self._max_length

    def preprocess(self, inputs: list[str], prompt: str | None = None, **_options: Any) -> dict[str, Tensor]:
        """Ids of all texts end to end, and where each begins."""
        texts = [prompt + text for text in inputs] if prompt else inputs
        encodings = self.tokenizer.encode_batch(texts, add_special_tokens=False)
        rows = [[number for number in encoding.ids if number != self.unknown] for encoding in encodings]
        lengths = torch.tensor([0, *map(len, rows)][: len(rows)])
        ids = torch.tensor([number for row in rows for number in row], dtype=torch.long)
        return {"input_ids": ids, "offsets": lengths.cumsum(0)}
