"""``sentence_transformers.util`` under its own names: ``from embedrt import util``; each function has a room of its own."""

from typing import Any

from embedrt.communities import community_detection
from embedrt.moving import why_missing
from embedrt.pairs import paraphrase_mining, paraphrase_mining_embeddings
from embedrt.search import semantic_search
from embedrt.similarity import (
    cos_sim,
    dot_score,
    euclidean_sim,
    manhattan_sim,
    pairwise_cos_sim,
    pairwise_dot_score,
    pairwise_euclidean_sim,
    pairwise_manhattan_sim,
)
from embedrt.similarity import cos_sim as pytorch_cos_sim
from embedrt.similarity import normalized as normalize_embeddings
from embedrt.vectors import quantize_embeddings
from embedrt.vectors import truncated as truncate_embeddings

__all__ = [
    "community_detection",
    "cos_sim",
    "dot_score",
    "euclidean_sim",
    "manhattan_sim",
    "normalize_embeddings",
    "pairwise_cos_sim",
    "pairwise_dot_score",
    "pairwise_euclidean_sim",
    "pairwise_manhattan_sim",
    "paraphrase_mining",
    "paraphrase_mining_embeddings",
    "pytorch_cos_sim",
    "quantize_embeddings",
    "semantic_search",
    "truncate_embeddings",
]

_ELSEWHERE = {
    "batch_to_device": "arrays are numpy's, and stay where they are",
    "information_retrieval": "its name is semantic_search",
    "mine_hard_negatives": "it prepares training: mine where the checkpoint is trained",
    "semantic_search_faiss": "hand encode's arrays to faiss, or use semantic_search",
    "semantic_search_usearch": "hand encode's arrays to usearch, or use semantic_search",
}


def __getattr__(name: str) -> Any:
    raise AttributeError(why_missing(name, "embedrt.util", _ELSEWHERE))
