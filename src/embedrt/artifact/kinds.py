"""What a manifest says of each kind of model beyond the facts that all kinds share, and which class loads which kind."""

from dataclasses import dataclass

__all__ = ["CLASSES", "KINDS", "Expansion", "MultiVector", "Reranking", "Sparse"]

CLASSES = {
    "dense": "SentenceEncoder",
    "sparse": "SparseEncoder",
    "cross-encoder": "CrossEncoder",
    "multi-vector": "MultiVectorEncoder",
}
"""The class of :mod:`embedrt` that loads a kind."""
KINDS = tuple(CLASSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranking:
    """A cross-encoder's head."""

    activation: str = "identity"
    """Between the graph's outputs ``logits`` and ``scores``: ``identity``, ``sigmoid`` or another by PyTorch's name for it."""
    labels: tuple[str, ...] = ()
    """Names of the scores, in their order; empty where the checkpoint has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparse:
    """How sparse vectors come out of the graph."""

    output: str = "sparse_embedding"
    """``sparse_embedding``: a weight for each term of the vocabulary; ``token_weights``: one for each token of the text."""
    dimension: int | None = None
    """Terms of the vocabulary; None: as many as the manifest's own ``dimension``."""
    ignored_token_ids: tuple[int, ...] = ()
    """With ``token_weights``: tokens that are no terms, such as special ones."""
    max_active_dims: int | None = None
    """How many terms a text keeps where the caller does not say; None: all."""
    query_weights: str | None = None
    """Of an inference-free model: the file, .npy float32 (dimension,), with the weight that a term has in every query."""
    query_max_seq_length: int | None = None
    """Tokens after which such a query is cut; None: as many as a document may have."""
    default_side: str = "document"
    """``query`` or ``document``: as which of them texts are encoded that are said to be neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """What short queries are filled up with, so that further vectors look for what the query only suggests (ColBERT)."""

    token_id: int
    """What is put behind a query, most often the mask token."""
    length: int
    """Tokens of a query afterwards, at least."""
    attended: bool = False
    """Whether the query's own tokens see those that were added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiVector:
    """How queries and documents become a vector a token."""

    dimension: int
    """Width of a token's vector."""
    similarity: str = "maxsim"
    """``maxsim``: the sum over the query's vectors of the best product with one of the document's; ``meanmaxsim``: the mean."""
    query_length: int | None = None
    """Tokens after which a query is cut; None: no limit."""
    document_length: int | None = None
    """The same of a document."""
    text_length: int | None = None
    """The same of a text that is said to be neither."""
    expansion: Expansion | None = None
    """None: queries stay as long as they are."""
    skip_ids: tuple[int, ...] = ()
    """Tokens whose vectors are left out, such as punctuation; the model reads them all the same."""
    skip_roles: tuple[str, ...] = ("document",)
    """Where they are: ``query``, ``document``; a text that is neither counts as a document."""
    keep_ids: tuple[int, ...] = ()
    """The only tokens of documents whose vectors are kept; empty: all."""
    leading: int = 0
    """Tokens at the beginning whose vectors are left out (BGE-M3: the first)."""
    scores_in_graph: bool = False
    """Whether the graph compares a document's vectors with a query's itself (``query_maxima``), so that ranking keeps none."""
