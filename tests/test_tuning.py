"""Tuning: what is tried, what counts as better, and what is kept; times are made up where they decide."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from embedrt import SentenceEncoder, tuning
from embedrt.artifact.folder import Artifact, locate
from embedrt.cli import app
from embedrt.errors import ProviderError, UnavailableError
from embedrt.inference.devices import Device
from embedrt.inference.layout import Layout, default_layout
from embedrt.tuning import Candidate, tune, typical_lengths

DEFAULT = Layout(latency_threads=4, workers=8, token_budget=512)
ON_CARD = Layout(latency_threads=4, workers=2, token_budget=16384)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMBEDRT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tuning, "physical_cores", lambda: 4)
    monkeypatch.setattr(tuning, "available_threads", lambda: 8)
    monkeypatch.setattr(tuning, "default_layout", lambda kind="cpu": DEFAULT if kind == "cpu" else ON_CARD)
    return tmp_path / "cache" / "tuned"


class Machine:
    """In place of measurement: seconds by layout."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, latency: Any, corpus: Any) -> None:
        monkeypatch.setattr(tuning._Rig, "one_text", lambda _rig, layout, _slot: latency(layout))
        monkeypatch.setattr(tuning._Rig, "corpus", lambda _rig, layout, _lengths: corpus(layout))


def test_the_best_of_both_is_put_together(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(
        monkeypatch,
        lambda layout: 0.002 + 0.001 * layout.latency_threads,
        lambda layout: 1.0 - 0.1 * (layout.token_budget == 256) - 0.05 * (layout.workers == 4),
    )
    tuned = tune(tiny, seconds=0.01)
    assert tuned.layout == Layout(latency_threads=1, workers=8, token_budget=256)
    assert [one.layout.latency_threads for one in tuned.latency] == [4, 1, 8]
    assert tuned.latency[0].layout == tuned.throughput[0].layout == DEFAULT


@pytest.mark.parametrize(("gain", "kept"), [(1.02, False), (1.05, True)])
def test_what_is_hardly_better_is_noise(tiny: Path, monkeypatch: pytest.MonkeyPatch, gain: float, kept: bool) -> None:
    Machine(monkeypatch, lambda _: 1.0, lambda layout: 1.0 if not layout.fusions else 1.0 / gain)
    assert tune(tiny, seconds=0.01).layout.fusions is kept


def test_every_candidate_differs_in_one_thing() -> None:
    layouts = tuning._throughput_layouts(DEFAULT, 10**9)
    assert layouts[0] == DEFAULT
    assert len(set(layouts)) == len(layouts) == 1 + 4 + 2 + 1
    for layout in layouts[1:]:
        changed = [name for name in layout.__slots__ if getattr(layout, name) != getattr(DEFAULT, name)]
        assert len(changed) == 1
    few = tuning._throughput_layouts(DEFAULT, 5 * 8 * 512)
    assert max(layout.token_budget for layout in few) == 512  # more would leave workers idle


def test_on_a_card_tokens_and_runs_in_flight_are_tried() -> None:
    layouts = tuning._throughput_layouts(ON_CARD, 10**9, kind="cuda")
    assert {layout.token_budget for layout in layouts} == {4096, 8192, 16384, 32768, 65536}
    assert {layout.workers for layout in layouts} == {1, 2, 3, 4}
    assert layouts[0] == ON_CARD
    assert len(layouts) == 1 + 4 + 3


def test_tuning_for_a_card(tiny: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """With a card that is none: what is tried, and for whom it is kept; the times are made up."""
    Machine(monkeypatch, lambda _layout: 0.001, lambda layout: 1.0 - 0.2 * (layout.workers == 3))
    monkeypatch.setattr(tuning, "parse_device", lambda _text: Device("cuda"))
    monkeypatch.setattr("embedrt.cli.tune.parse_device", lambda _text: Device("cuda"))
    monkeypatch.setattr(tuning, "load", lambda *_: None)
    done = CliRunner().invoke(app, ["tune", str(tiny), "--device", "cuda", "--seconds", "1", "--json", "-q"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["fp32"]
    assert found["layout"] == {"latency_threads": 4, "workers": 3, "token_budget": 16384, "fusions": False}
    assert len(found["one_text_milliseconds"]) == 1
    assert len(list(cache.iterdir())) == 1
    with SentenceEncoder(tiny) as encoder:
        assert encoder._opened.layout == default_layout()  # the processor's own


def test_a_revision_of_a_hub_repository_is_what_is_measured(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    Machine(monkeypatch, lambda _layout: 0.001, lambda _layout: 1.0)
    asked = []

    def located(model: str, *, variant: str | None = None, revision: str | None = None) -> Artifact:
        asked.append((model, revision))
        return locate(tiny, variant=variant)

    for module in ("embedrt.tuning", "embedrt.cli.tune", "embedrt.cli.verify"):
        monkeypatch.setattr(f"{module}.locate", located)
    arguments = ["tests/tiny", "--revision", "v2"]
    assert CliRunner().invoke(app, ["tune", *arguments, "--seconds", "1", "-q"]).exit_code == 0
    assert len(asked) == 3
    assert CliRunner().invoke(app, ["verify", *arguments]).exit_code == 0
    assert len(asked) == 4
    assert set(asked) == {("tests/tiny", "v2")}


def test_a_card_that_is_not_there_is_one_clear_error(tiny: Path) -> None:
    with pytest.raises(ProviderError, match="CUDAExecutionProvider was asked for, but this ONNX Runtime"):
        tune(tiny, device="cuda", seconds=0.01)


def test_the_sample_fits_the_time_and_keeps_every_worker_busy() -> None:
    lengths = np.array([3, 50, 20])
    quick = tuning._sample(lengths, rate=1e6, seconds=24.0, default=DEFAULT)
    assert 1e6 <= quick.sum() <= 1e6 + 50  # 24 s in 3 rounds of 8
    slow = tuning._sample(lengths, rate=10.0, seconds=24.0, default=DEFAULT)
    assert 5 * 8 * 512 <= slow.sum() <= 5 * 8 * 512 + 50
    np.testing.assert_array_equal(slow[:6], [3, 50, 20, 3, 50, 20])


def test_rounds_go_on_until_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr("embedrt.tuning.time.perf_counter", lambda: float(next(clock)))
    order: list[int] = []

    def measure(layout: Layout, _slot: float) -> float:
        order.append(layout.workers)
        return 1.0

    layouts = [Layout(latency_threads=1, workers=count, token_budget=1) for count in (1, 2, 3)]
    passed: list[float] = []
    found = tuning._in_turn(layouts, measure, 20.0, passed.append)
    assert order == [1, 2, 3] * 3
    assert all(len(one.seconds) == 3 for one in found)
    assert len(passed) == 9
    order.clear()
    tuning._in_turn(layouts, measure, 0.0, passed.append)
    assert order == [1, 2, 3]


def test_texts_that_are_timed_all_run() -> None:
    """Equal texts would run once, and be counted each."""
    lengths = typical_lengths(400)
    texts = tuning._texts_of(lengths)
    assert len(set(texts)) > 0.98 * len(texts)
    assert [len(text.split()) for text in texts] == (lengths - 2).tolist()
    assert {len(word) for text in texts for word in text.split()} == {1}


def test_typical_lengths() -> None:
    lengths = typical_lengths()
    assert len(lengths) == 2000
    assert (lengths.min() >= 3, lengths.max() <= 128) == (True, True)
    assert 12 <= np.median(lengths) <= 20


def test_the_least_disturbed_round_counts() -> None:
    assert Candidate(layout=DEFAULT, seconds=(3.0, 1.0, 2.0)).best == 1.0


def test_a_real_measurement_is_kept_and_used(tiny: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("EMBEDRT_CACHE", str(cache.parent))
    done = CliRunner().invoke(app, ["tune", str(tiny), "--seconds", "1", "--json", "-q"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["fp32"]
    assert {one["measured"] > 0 for one in found["one_text_milliseconds"] + found["corpus_tokens_per_second"]} == {True}
    with SentenceEncoder(tiny) as encoder:
        assert encoder._opened.layout == Layout(**found["layout"])
    assert len(list(cache.iterdir())) == 1
    forgotten = CliRunner().invoke(app, ["tune", str(tiny), "--forget"])
    assert (forgotten.exit_code, forgotten.output) == (0, "")
    with SentenceEncoder(tiny) as encoder:
        assert encoder._opened.layout == default_layout()


def test_the_table_says_what_was_kept(tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Machine(monkeypatch, lambda layout: 0.001 * layout.latency_threads, lambda layout: 100 / layout.token_budget)
    texts = tmp_path / "texts.csv"
    texts.write_text("id,body\n" + "1,hello world\n2,cat\n" * 50, encoding="utf-8")
    arguments = ["tune", str(tiny), "--seconds", "1", "--texts", str(texts), "--text-field", "body"]
    shown = CliRunner().invoke(app, arguments, env={"COLUMNS": "120"})
    assert shown.exit_code == 0, shown.output
    rows = [line for line in shown.output.splitlines() if "kept" in line and "│" in line]
    assert len(rows) == 2
    assert "one text" in rows[0]
    assert "1.00 ms" in rows[0]
    assert "corpus" in rows[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--variant", "int9"), "variant 'int9' was asked for, but the artifact has fp32"),
        (("--texts", "EMPTY"), "holds no text: pass a file with some hundreds of texts like yours"),
        (("--texts", "missing.txt"), "missing.txt cannot be read"),
    ],
)
def test_wrong_inputs(tiny: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "empty.txt").write_text("", encoding="utf-8")
    given = [str(tmp_path / "empty.txt") if word == "EMPTY" else word for word in arguments]
    failed = CliRunner().invoke(app, ["tune", str(tiny), *given])
    assert message in str(failed.exception)


def test_nothing_is_measured_that_cannot_be_kept(tiny: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    Machine(monkeypatch, pytest.fail, pytest.fail)
    cache.parent.write_text("a file where the folder would be", encoding="utf-8")
    failed = CliRunner().invoke(app, ["tune", str(tiny)])
    assert isinstance(failed.exception, UnavailableError)
    assert str(failed.exception) == (
        f"{cache} cannot be written to, where the result would be kept: set EMBEDRT_CACHE to a folder that can"
    )
