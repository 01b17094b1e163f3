"""Pairs that are too long: the ids that the library gives, without what the library keeps."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from embedrt.text.pair_template import PairTemplate, PairText
from embedrt.text.tokenizer import TextTokenizer

WORDS = [f"w{number}" for number in range(30)]
SPECIAL = {"special_tokens": [("[CLS]", 1), ("[SEP]", 2)]}
PROCESSORS: dict[str, Any] = {
    "bert": processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1)),
    "roberta": processors.RobertaProcessing(("[SEP]", 2), ("[CLS]", 1)),
    "second text first": processors.TemplateProcessing(
        single="$A [SEP]", pair="$B:1 [SEP]:1 $A [SEP] [SEP]:2", **SPECIAL
    ),
    "no special tokens": processors.Sequence([]),
}
TEXTS = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)


def tokenizer(processor: str, limit: int, direction: str = "right") -> Tokenizer:
    vocabulary = {word: number for number, word in enumerate(["[UNK]", "[CLS]", "[SEP]", "a", *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = PROCESSORS[processor]
    made.enable_truncation(limit, direction=direction)
    return made


@settings(deadline=None, max_examples=400)
@given(
    processor=st.sampled_from(sorted(PROCESSORS)),
    limit=st.integers(6, 20),
    direction=st.sampled_from(["right", "left"]),
    first=TEXTS,
    second=TEXTS,
)
def test_the_library_s_ids(processor: str, limit: int, direction: str, first: str, second: str) -> None:
    library = tokenizer(processor, limit, direction)
    template = PairTemplate.of(library)
    assert template is not None
    expected = library.encode(first, second)
    texts = [PairText.of(library.encode(text, add_special_tokens=False)) for text in (first, second)]
    assert template.joined(*texts) == (expected.ids, expected.type_ids)
    assert template.fits(*texts) == (not expected.overflowing)


@settings(deadline=None, max_examples=100)
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), limit=st.integers(6, 60))
def test_pairs_of_all_lengths_together(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]], limit: int
) -> None:
    library = tokenizer("bert", limit)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    library.save(str(path))
    ours = TextTokenizer(path)
    rows = ours.encode_pairs(pairs, with_types=True)
    for at, pair in enumerate(pairs):
        expected = library.encode(*pair)
        assert (rows.row(at).tolist(), rows.types_of(at).tolist()) == (expected.ids, expected.type_ids)
        assert ours.is_cut(pair) == bool(expected.overflowing)


@pytest.mark.parametrize("strategy", ["only_first", "only_second"])
def test_tokenizers_that_cut_otherwise_are_left_to_the_library(tmp_path: Path, strategy: str) -> None:
    library = tokenizer("bert", 8)
    library.enable_truncation(8, strategy=strategy)
    assert PairTemplate.of(library) is None
    library.save(str(tmp_path / "tokenizer.json"))
    pair = ("w1 w2", "w3 w4 w5 w6 w7 w8") if strategy == "only_second" else ("w3 w4 w5 w6 w7 w8", "w1 w2")
    rows = TextTokenizer(tmp_path / "tokenizer.json").encode_pairs([pair], with_types=False)
    assert rows.row(0).tolist() == library.encode(*pair).ids


def test_others_that_have_no_template() -> None:
    never = tokenizer("bert", 8)
    never.no_truncation()
    overlapping = tokenizer("bert", 8)
    overlapping.enable_truncation(8, stride=2)
    deaf = tokenizer("bert", 8)
    deaf.normalizer = normalizers.Replace("a", "")  # its probe has no token
    assert [PairTemplate.of(one) for one in (never, overlapping, deaf)] == [None, None, None]


MEASURE = """
import resource, sys
from pathlib import Path
from embedrt.text.tokenizer import TextTokenizer
tokenizer = TextTokenizer(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pair = ("w1 " * 20_000, "w2 " * 20_000)
print(tokenizer.is_cut(pair), *tokenizer.encode_pairs([pair, ("w1", "w2")], with_types=True).lengths)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_long_texts_take_memory_for_themselves_alone(
    tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The library would hold every combination of the two texts' pieces, several gigabytes of them."""
    tokenizer("bert", 128).save(str(tmp_path / "tokenizer.json"))
    ended = run_python(MEASURE, tmp_path / "tokenizer.json")
    found, kilobytes = ended.stdout.splitlines()
    assert found == "True 128 5"
    assert int(kilobytes) < 500_000


MEASURE_MANY = """
import resource, sys
from pathlib import Path
from embedrt.text.tokenizer import TextTokenizer
tokenizer = TextTokenizer(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = tokenizer.encode_pairs([("w1 " * 20_000, "w2")] * int(sys.argv[2]), with_types=True)
print(len(rows), *set(rows.lengths.tolist()))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize(("strategy", "documents"), [("longest_first", 600), ("only_first", 200)])
def test_a_long_query_of_many_documents_takes_memory_once(
    tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]], strategy: str, documents: int
) -> None:
    library = tokenizer("bert", 128)
    library.enable_truncation(128, strategy=strategy)
    library.save(str(tmp_path / "tokenizer.json"))
    ended = run_python(MEASURE_MANY, tmp_path / "tokenizer.json", documents)
    found, kilobytes = ended.stdout.splitlines()
    assert found == f"{documents} 128"
    assert int(kilobytes) < 300_000


MEASURE_TEXTS = """
import resource, sys
from pathlib import Path
from embedrt.text.tokenizer import TextTokenizer
tokenizer = TextTokenizer(Path(sys.argv[1]))
tokenizer._known_words = None  # as for most tokenizers
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = tokenizer.encode(["w1 " * 20_000] * 300)
print(len(rows), *set(rows.lengths.tolist()))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_what_is_cut_off_of_many_texts_is_not_kept(
    tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    tokenizer("bert", 128).save(str(tmp_path / "tokenizer.json"))
    found, kilobytes = run_python(MEASURE_TEXTS, tmp_path / "tokenizer.json").stdout.splitlines()
    assert found == "300 128"
    assert int(kilobytes) < 200_000


def test_pairs_of_two_equal_texts_that_are_long(tmp_path: Path) -> None:
    tokenizer("bert", 8).save(str(tmp_path / "tokenizer.json"))
    ours, pair = TextTokenizer(tmp_path / "tokenizer.json"), ("w1 w2 w3 w4", "w1 w2 w3 w4")
    assert ours.encode_pairs([pair], with_types=False).row(0).tolist() == tokenizer("bert", 8).encode(*pair).ids
    assert ours.is_cut(pair)
