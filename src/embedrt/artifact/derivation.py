"""What an export changed of the checkpoint on purpose, as the manifest tells it under ``source.derivation``."""

from dataclasses import dataclass, field

__all__ = ["Derivation", "Distillation", "Trimming", "Whitened", "WordWeighting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimming:
    """Pieces of the vocabulary that the user's texts never need are gone (``--keep-vocabulary-of``)."""

    texts: int
    """For how many texts it was kept."""
    pieces_before: int
    pieces: int
    bytes_saved: int
    """Of the float32 weights."""
    cut_otherwise: int
    """How many of the parity texts, which are of all languages, consist of other pieces now."""
    cosine_of_these: float | None
    """Mean cosine of their vectors to those of the whole checkpoint; None: there are none, or it gives no vector a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """A table of vectors, one a token, stands in place of the transformer (``--static``)."""

    tokens: int
    dimension: int
    explained_variance: float
    """Share of the variance of the tokens' vectors that PCA kept."""
    sif_coefficient: float
    """The a of a token's weight a / (a + p), p its frequency as Zipf's law has it."""
    rank_correlation: float
    """Spearman's correlation of the cosines of all pairs of held-out texts, before and after."""
    sts_change: dict[str, float] = field(default_factory=dict)
    """Spearman × 100 on STS minus that of the checkpoint, by set, and the mean under ``mean``; empty where none was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whitened:
    """Vectors are whitened by a corpus (``--whiten``)."""

    texts: int
    rank: int
    """Directions in which the corpus varies."""
    dimension: int
    explained_variance: float
    """Share of the corpus's variance in the directions that were kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordWeighting:
    """Frequent words of a corpus count for less in a file of word vectors (``--corpus``)."""

    texts: int
    weights: str = ""
    """``idf`` or ``sif``; empty: all words count alike."""
    dropped: tuple[str, ...] = ()
    """The most frequent words, which are passed over."""
    component_share: float | None = None
    """Share of the corpus's summed squares in the component that was taken out; None: none was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """The changes, in the order in which they were made."""

    prompts: dict[str, str] = field(default_factory=dict)
    """Prompts that the checkpoint does not carry (``--prompt``)."""
    default_prompt: str | None = None
    """The name of the one that is used where none is named (``--default-prompt``); None: as the checkpoint has it."""
    max_seq_length: int | None = None
    """Tokens of a text that are read (``--max-seq-length``); None: as the checkpoint says."""
    trimming: Trimming | None = None
    distillation: Distillation | None = None
    whitening: Whitened | None = None
    unit_words: bool = False
    """Words' vectors were brought to length 1 (``--unit-words``)."""
    weighting: WordWeighting | None = None

    def if_any(self) -> "Derivation | None":
        """Itself; None where nothing was changed."""
        return self if self.sentences() else None

    def sentences(self) -> list[str]:
        """What a person has to know of it, a sentence a change."""
        made = (
            self.prompts and f"prompts given at the export: {', '.join(self.prompts)}",
            self.default_prompt and f"{self.default_prompt} made the default prompt",
            self.max_seq_length and f"texts cut at {self.max_seq_length} tokens",
            self.trimming and _trimmed(self.trimming),
            self.distillation and _distilled(self.distillation),
            self.whitening and _whitened(self.whitening),
            "words' vectors brought to length 1" if self.unit_words else None,
            self.weighting and _weighted(self.weighting),
        )
        return [sentence for sentence in made if sentence]


def _trimmed(made: Trimming) -> str:
    return (
        f"vocabulary trimmed to {made.pieces} of {made.pieces_before} pieces, those of {made.texts} texts: "
        f"{made.bytes_saved / 1e6:.1f} MB less"
    )


def _distilled(made: Distillation) -> str:
    return (
        f"distilled into a table of {made.tokens} vectors of {made.dimension}, {made.explained_variance:.0%} of their variance; "
        f"ranks of similarities agree with the checkpoint's to {made.rank_correlation:.2f}"
    )


def _whitened(made: Whitened) -> str:
    return (
        f"whitened by {made.texts} texts: {made.dimension} of {made.rank} directions, "
        f"{made.explained_variance:.0%} of the variance"
    )


def _weighted(made: WordWeighting) -> str:
    steps = [f"{made.weights} weights"] if made.weights else []
    if made.dropped:
        shown = ", ".join(made.dropped[:3])
        steps.append(
            f"the {len(made.dropped)} most frequent words dropped ({shown}{' …' if len(made.dropped) > 3 else ''})"
        )
    if made.component_share is not None:
        steps.append(f"the first component removed ({made.component_share:.0%} of the corpus's vectors)")
    return f"by {made.texts} texts: {', '.join(steps)}"
