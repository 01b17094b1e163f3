"""A loaded checkpoint, and the facts that a runtime needs of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sentence_transformers.sentence_transformer.modules import Pooling
from torch import nn

from embedrt.artifact.hub_files import UNLIMITED
from embedrt.artifact.manifest import Serving, Source

__all__ = ["Checkpoint", "reference_name"]

_POSITION_TABLES = ("position_embeddings", "position_embedding")
_SHORTEST_PAIR = 32
"""transformers keeps what is cut off of two texts in every combination: gigabytes, where hardly anything stays."""
_OWN_POOLING = "eos"
"""What CLIP's text tower does itself: the vector of the token that ends a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A loaded checkpoint: float32, on the CPU, in evaluation mode."""

    model: Any
    """The SentenceTransformer, CrossEncoder, SparseEncoder or MultiVectorEncoder; one route of it where it has several."""
    whole: Any = None
    """Of an inference-free SparseEncoder: the model with both its routes, for queries have no graph."""
    kind: str = "dense"
    """A name of :data:`embedrt_export.kinds.KINDS`."""
    source: Source
    folder: Path
    """Where its files are."""

    @property
    def transformer(self) -> Any:
        """The transformers model that reads the text; None where each token has a fixed weight instead."""
        model = getattr(self.model[0], "auto_model", None)
        return model.text_model if model is not None and self.is_text_tower else model

    @property
    def is_text_tower(self) -> bool:
        """Whether it is the text side of a model of texts and images, which pools by itself (CLIP)."""
        asked: dict[str, Any] = getattr(self.model[0], "modality_config", {})  # which modules of others lack
        return bool(asked.get("text", {}).get("method") == "get_text_features")

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer."""
        return self.model.tokenizer

    @property
    def padding_side(self) -> str:
        """``left`` or ``right``: the tokenizer's, but right where tokens have positions of their own, counted from the left.

        Padding on the left would move them, so that sentence-transformers' vector of a text depends on its batch there; ours is
        that of the text alone.
        """
        return "right" if self.positions is not None else str(self.tokenizer.padding_side)

    @property
    def positions(self) -> int | None:
        """Tokens that the transformer has position vectors for; None: it has no such table."""
        if self.transformer is None:
            return None
        for name, module in self.transformer.named_modules():
            if isinstance(module, nn.Embedding) and name.endswith(_POSITION_TABLES):
                return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
        return None

    @property
    def max_seq_length(self) -> int | None:
        """sentence-transformers' own answer, in tokens, and no more than there are positions; None: no limit."""
        limit = self.model.max_seq_length
        known = [int(limit)] if limit is not None and limit < UNLIMITED else []
        return min([*known, *([self.positions] if self.positions is not None else [])], default=None)

    @property
    def cuts_alike(self) -> bool:
        """Whether a transformer reads all texts, cut at one length."""
        return self.transformer is not None and self.whole is None and self.kind != "multi-vector"

    @property
    def least_length(self) -> tuple[int, str]:
        """The least number of tokens at which what it reads may be cut, and what that is: a text, or a pair of texts."""
        if self.kind == "cross-encoder":
            return _SHORTEST_PAIR, "a pair"
        return int(self.tokenizer.num_special_tokens_to_add()) + 1, "a text"

    @property
    def pooling(self) -> Any:
        """The Pooling module; None where the transformer pools by itself."""
        return next((module for module in self.model if isinstance(module, Pooling)), None)

    @property
    def text_facts(self) -> dict[str, Any]:
        """The fields of :class:`~embedrt.artifact.manifest.Serving` that every kind of model has, about its texts."""
        return {
            "max_seq_length": self.max_seq_length,
            "pad_token_id": int(self.tokenizer.pad_token_id or 0),
            "padding_side": self.padding_side,
            "prompts": dict(self.model.prompts),
            "default_prompt_name": self.model.default_prompt_name,
        }

    def serving(self) -> Serving:
        """What the manifest tells a runtime of a dense encoder."""
        modes = self.pooling.pooling_mode if self.pooling is not None else _OWN_POOLING
        return Serving(
            dimension=int(self.model.get_embedding_dimension()),
            pooling=(modes,) if isinstance(modes, str) else tuple(modes),
            normalize=type(self.model[-1]).__name__ == "Normalize" and self.model.truncate_dim is None,
            similarity=str(self.model.similarity_fn_name),
            include_prompt=self.pooling is None or bool(self.pooling.include_prompt),
            **self.text_facts,
        )


def reference_name(source: Source) -> str:
    """How a parity report names what it compared with."""
    versions = source.libraries
    return f"sentence-transformers {versions['sentence-transformers']} on torch {torch.__version__}, float32, CPU"
