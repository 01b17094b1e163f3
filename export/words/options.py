"""How a file of word vectors becomes a sentence encoder: settings, checked at the door."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from embedrt_export.source.pooling_modes import POOLING_MODES

from embedrt.errors import InputError
from embedrt.text.segmenters import WordRules

__all__ = ["TABLES", "WEIGHTINGS", "Table", "Weighting", "WordVectorOptions"]

Table = Literal["fp32", "fp16", "int8"]
TABLES: tuple[Table, ...] = get_args(Table)
Weighting = Literal["idf", "sif"]
WEIGHTINGS: tuple[Weighting, ...] = get_args(Weighting)
_POOLINGS = tuple(mode for mode in POOLING_MODES if mode != "cls")
_MEANS = ("mean", "mean_sqrt_len_tokens")
_PLAIN = WordRules(split="whitespace")


@dataclass(frozen=True, slots=True, kw_only=True)
class WordVectorOptions:
    """What is asked for."""

    rules: WordRules = _PLAIN
    """How texts are cut into words."""
    pooling: tuple[str, ...] = ("mean",)
    """Modes, concatenated in this order."""
    normalize: bool = False
    """Texts' vectors get length 1."""
    unit_rows: bool = False
    """Words' vectors get length 1, before they are weighted and pooled."""
    table: Table = "fp32"
    """How the graph holds the words' vectors."""
    weighting: Weighting | None = None
    """A number for each word, by how often the corpus has it; None: all words count alike."""
    remove_component: bool = False
    """Take the first principal component of the corpus's vectors out of every text's vector."""
    drop_frequent: int = 0
    """So many words, the most frequent in the corpus, are passed over."""
    corpus: Path | None = None
    """A file with one text a line, by which the three before are computed."""

    def __post_init__(self) -> None:
        self._require_known()
        asked = self.weighting is not None or self.remove_component or self.drop_frequent > 0
        if asked and self.corpus is None:
            raise InputError(
                "word weights, the component to remove and the words to drop are computed from texts: pass --corpus FILE, "
                "with one text a line"
            )
        if self.corpus is not None and not asked:
            raise InputError(
                "--corpus was given, but nothing that is computed from it: add --word-weights, --remove-component or "
                "--drop-frequent, or leave it out"
            )
        if self.remove_component and (len(self.pooling) != 1 or self.pooling[0] not in _MEANS):
            raise InputError(
                f"a component is taken out of means: pooling is {', '.join(self.pooling)}, expected one of {', '.join(_MEANS)}"
            )

    def _require_known(self) -> None:
        if self.table not in TABLES:
            raise InputError(f"table is {self.table!r}, expected one of {', '.join(TABLES)}")
        if self.weighting is not None and self.weighting not in WEIGHTINGS:
            raise InputError(f"word weights are {self.weighting!r}, expected one of {', '.join(WEIGHTINGS)}")
        if unknown := [mode for mode in self.pooling if mode not in _POOLINGS]:
            raise InputError(
                f"pooling is {', '.join(unknown)}, expected some of {', '.join(_POOLINGS)} "
                "(cls needs a token that stands for the whole text, and words have none)"
            )
        if not self.pooling:
            raise InputError(f"pooling is empty, expected some of {', '.join(_POOLINGS)}")
        if self.drop_frequent < 0:
            raise InputError(f"drop_frequent is {self.drop_frequent}, expected 0 or more words")
