"""``embedrt export --word-vectors FILE OUT``: the options of word vectors, and what they ask the exporter for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from embedrt.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from embedrt_export.words.options import WordVectorOptions

__all__ = [
    "Corpus",
    "DropFrequent",
    "Lowercase",
    "Normalize",
    "RemoveComponent",
    "StopWords",
    "Table",
    "UnitWords",
    "WordSettings",
    "WordTokenizer",
    "WordVectors",
    "WordWeights",
    "places",
    "refuse",
]

_PANEL = "Word vectors"
_ENGLISH = "english"

WordVectors = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="In place of MODEL: GloVe or word2vec text, word2vec .bin, gensim .kv; texts are pooled words.",
        rich_help_panel=_PANEL,
    ),
]
WordTokenizer = Annotated[
    Literal["whitespace", "phrases", "jieba"],
    typer.Option(help="How texts are cut into words; phrases: New_York is one word.", rich_help_panel=_PANEL),
]
Lowercase = Annotated[bool, typer.Option("--lowercase", help="Lowercase texts first.", rich_help_panel=_PANEL)]
StopWords = Annotated[
    str | None,
    typer.Option(
        metavar="english|FILE",
        help="Words to pass over: sentence-transformers' list, or one a line.",
        rich_help_panel=_PANEL,
    ),
]
Normalize = Annotated[bool, typer.Option("--normalize", help="Texts' vectors get length 1.", rich_help_panel=_PANEL)]
UnitWords = Annotated[
    bool, typer.Option("--unit-words", help="Words' vectors get length 1 before pooling.", rich_help_panel=_PANEL)
]
Table = Annotated[
    Literal["fp32", "fp16", "int8"], typer.Option(help="How the graph holds words' vectors.", rich_help_panel=_PANEL)
]
WordWeights = Annotated[
    Literal["idf", "sif"] | None,
    typer.Option(help="Let frequent words of the corpus count for less.", rich_help_panel=_PANEL),
]
Corpus = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Texts, one a line, that frequencies are counted in.", rich_help_panel=_PANEL),
]
RemoveComponent = Annotated[
    bool,
    typer.Option(
        "--remove-component", help="Take the corpus's first principal component out of vectors.", rich_help_panel=_PANEL
    ),
]
DropFrequent = Annotated[
    int, typer.Option(metavar="K", min=0, help="Pass over the corpus's K most frequent words.", rich_help_panel=_PANEL)
]


def places(model: str | None, out: Path | None, word_vectors: Path | None) -> tuple[str, Path]:
    """MODEL and OUT; with word vectors the first argument is OUT.

    Raises:
        InputError: one is missing, or one too many.
    """
    if word_vectors is None:
        if model is None or out is None:
            raise InputError("type: embedrt export MODEL OUT, or: embedrt export --word-vectors FILE OUT")
        return model, out
    if model is None or out is not None:
        raise InputError("--word-vectors FILE stands in place of MODEL: type embedrt export --word-vectors FILE OUT")
    return str(word_vectors), Path(model)


def refuse(given: Mapping[str, Any], reason: str) -> None:
    """Refuse options that do not belong to what is exported.

    Raises:
        InputError: naming the first that was given, and the ``reason``.
    """
    for option, value in given.items():
        if value:
            raise InputError(f"{option} {reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WordSettings:
    """The options of word vectors, as they were typed."""

    tokenizer: str
    lowercase: bool
    stop_words: str | None
    table: str
    normalize: bool
    unit_words: bool
    weights: str | None
    corpus: Path | None
    remove_component: bool
    drop_frequent: int

    def given(self) -> dict[str, Any]:
        """By option; what was left at its default is false."""
        return {
            "--word-tokenizer": self.tokenizer != "whitespace",
            "--lowercase": self.lowercase,
            "--stop-words": self.stop_words,
            "--table": self.table != "fp32",
            "--normalize": self.normalize,
            "--unit-words": self.unit_words,
            "--word-weights": self.weights,
            "--corpus": self.corpus,
            "--remove-component": self.remove_component,
            "--drop-frequent": self.drop_frequent,
        }

    def options(self, pooling: Sequence[str] | None) -> "WordVectorOptions":
        """What the exporter is asked for.

        Raises:
            InputError: the options contradict each other.
        """
        from embedrt_export.words.options import Weighting, WordVectorOptions

        from embedrt.text.segmenters import WordRules

        if self.lowercase and self.tokenizer != "whitespace":
            raise InputError(
                f"--lowercase is for --word-tokenizer whitespace, and it is {self.tokenizer}: leave it out"
            )
        rules = WordRules(split=self.tokenizer, lowercase=self.lowercase, stop_words=_stop_words(self.stop_words))
        return WordVectorOptions(
            rules=rules,
            pooling=tuple(pooling or ("mean",)),
            normalize=self.normalize,
            unit_rows=self.unit_words,
            table=cast("Table", self.table),
            weighting=cast("Weighting | None", self.weights),
            remove_component=self.remove_component,
            drop_frequent=self.drop_frequent,
            corpus=self.corpus,
        )


def _stop_words(given: str | None) -> tuple[str, ...]:
    if given is None:
        return ()
    if given == _ENGLISH:
        return _english()
    try:
        lines = Path(given).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"--stop-words {given} cannot be read ({error}): pass english, or a file with a word a line"
        ) from error
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _english() -> tuple[str, ...]:
    try:
        from embedrt_export.words.english import ENGLISH
    except ImportError as missing:
        raise MissingDependencyError(
            "the English stop words are those of sentence-transformers, which is not installed. "
            'Type: pip install "embedrt[export]", or pass a file with a word a line'
        ) from missing
    return ENGLISH
