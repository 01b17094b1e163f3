"""The texts of a run, the same for the same seed: profiles for the offline scenario, exact lengths for single texts.

STS sentences where the files are at hand, else sentences composed by seed; :attr:`Corpus.label` says which.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embedrt_bench.texts.data import evenly, sts_texts
from embedrt_bench.texts.workloads import composed_sentences

from embedrt import SentenceEncoder
from embedrt.errors import InputError

__all__ = ["LENGTHS", "PROFILES", "Corpus", "TokenCounter", "cut_to_tokens", "profile_texts", "read_corpus"]

PROFILES = ("short queries", "STS", "passages", "mixed")
LENGTHS = (8, 16, 32, 64, 128, 256, 512)
"""Tokens of single texts, special ones included."""
_QUERY_WORDS, _PASSAGE_WORDS = 5, 110
_SHARE = {"passages": 8, "mixed": 4}
"""Of the sentences, one text for so many: about as many tokens as the other profiles have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Sentences to measure with."""

    sentences: tuple[str, ...]
    """An even sample of the texts at hand, as many as asked for, in random order."""
    label: str
    """For ``settings.texts`` of a result."""
    seed: int
    """Of everything that is drawn from them."""


def read_corpus(folder: Path | None, count: int, *, seed: int) -> Corpus:
    """``count`` sentences in random order: of the STS files in ``folder``, or composed ones where it is None.

    MLPerf's offline scenario draws its samples at random too. In the order of the files, neighbours are of one set and of
    like length, so that engines which batch texts as they come would pad less than they do in use.
    """
    if folder is None:
        label = f"{count} composed sentences (the STS files are not at hand)"
        return Corpus(sentences=tuple(composed_sentences(count, seed=seed)), label=label, seed=seed)
    sample = evenly(sts_texts(folder), count)
    random.Random(seed).shuffle(sample)
    label = f"{len(sample)} STS sentences, evenly from all sets, in random order"
    return Corpus(sentences=tuple(sample), label=label, seed=seed)


def profile_texts(corpus: Corpus, profile: str) -> list[str]:
    """Different texts of one of :data:`PROFILES`; passages and mixed ones are fewer, because they are longer."""
    chooser = random.Random(corpus.seed)
    sentences = list(corpus.sentences)
    count = max(3, len(sentences) // _SHARE.get(profile, 1))
    if profile == "STS":
        return sentences
    if profile == "short queries":  # many sentences begin alike, and equal texts of a call run once
        return list(dict.fromkeys(" ".join(sentence.split()[:_QUERY_WORDS]) for sentence in sentences))
    if profile == "passages":
        return [_passage(sentences, chooser) for _ in range(count)]
    if profile == "mixed":
        queries, passages = (profile_texts(corpus, name) for name in ("short queries", "passages"))
        known = set(queries)  # a sentence of five words is a query, too
        kinds = (queries, [text for text in sentences if text not in known], passages)
        return [text for kind in kinds for text in chooser.sample(kind, min(len(kind), count // 3))]
    raise InputError(f"there is no profile {profile!r}; there are: {', '.join(PROFILES)}")


class TokenCounter:
    """Counts tokens as the artifact's own tokenizer does, special ones included."""

    def __init__(self, artifact: Path) -> None:
        with SentenceEncoder(artifact, threads=1) as encoder:
            self._encoder = encoder
            self.longest = encoder.max_seq_length
            """Tokens after which the model cuts a text; None: never."""

    def __call__(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, after the cut."""
        return [len(row) for row in self._encoder.tokenize(list(texts))]


def cut_to_tokens(corpus: Corpus, count: TokenCounter, tokens: int, *, texts: int) -> list[str]:
    """So many texts of exactly ``tokens`` tokens each, from words that are one token wherever they stand."""
    words = sorted({word for sentence in corpus.sentences for word in sentence.split()})
    special = count([""])[0]
    lengths = zip(words, count(words), count([f"{word} {word}" for word in words]))
    single = [word for word, one, two in lengths if (one, two) == (special + 1, special + 2)]
    if not single:
        raise InputError(f"no word of the texts is a single token, so none can be cut to {tokens} tokens")
    chooser = random.Random(corpus.seed)
    found = [" ".join(chooser.choices(single, k=tokens - special)) for _ in range(texts)]
    if (have := set(count(found))) != {tokens}:
        raise InputError(f"texts have {sorted(have)} tokens, expected {tokens} each: does the model cut them?")
    return found


def _passage(sentences: Sequence[str], chooser: random.Random) -> str:
    words: list[str] = []
    while len(words) < _PASSAGE_WORDS:
        words += chooser.choice(sentences).split()
    return " ".join(words)
