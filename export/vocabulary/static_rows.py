"""A loaded static embedding with some of its rows: the whole model is its table."""

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn

__all__ = ["keep_static_rows"]


def keep_static_rows(module: Any, tokenizer: Tokenizer, kept: Sequence[int]) -> int:
    """Give ``module``, a StaticEmbedding, the rows ``kept`` and their tokenizer; gives the bytes that went."""
    before = module.embedding.weight
    rows = before[torch.tensor([number for number in kept if number < len(before)])]
    limit = module.tokenizer.truncation
    if limit is not None:
        tokenizer.enable_truncation(limit["max_length"], direction=limit["direction"])
    module.tokenizer = tokenizer
    module.embedding = nn.EmbeddingBag(len(rows), rows.shape[1], _weight=rows)
    module.embedding.requires_grad_(requires_grad=False)
    module.num_embeddings = len(rows)
    if getattr(module, "unknown", None) is not None:  # Model2Vec's way leaves it out of the mean
        module.unknown = {old: new for new, old in enumerate(kept)}[module.unknown]
    return int(before.nbytes - rows.nbytes)
