"""Layouts: the defaults, what was tuned, and for whom it counts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedrt import SentenceEncoder
from embedrt.errors import InputError, UnavailableError
from embedrt.inference import layout
from embedrt.inference.devices import Device
from embedrt.inference.layout import Layout, default_layout, layout_for, read_tuned, tuned_path, write_tuned

SHA = "ab" * 32
TUNED = Layout(latency_threads=1, workers=3, token_budget=1024, fusions=True)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMBEDRT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "available_threads", lambda: 8)
    monkeypatch.setattr(layout, "physical_cores", lambda: 4)
    assert default_layout() == Layout(latency_threads=4, workers=8, token_budget=512)
    assert default_layout(3) == Layout(latency_threads=3, workers=3, token_budget=512)
    assert default_layout(kind="cuda") == Layout(latency_threads=4, workers=2, token_budget=16384)
    assert default_layout(3, kind="cuda").workers == 2  # runs in flight
    monkeypatch.setattr(layout, "available_threads", lambda: 2)  # a container's quota below its cores
    assert default_layout().latency_threads == 2


@pytest.mark.parametrize("wrong", [{"latency_threads": 0}, {"workers": -1}, {"token_budget": 1.5}, {"workers": True}])
def test_what_cannot_run_is_refused(wrong: dict[str, Any]) -> None:
    [name] = wrong
    with pytest.raises(InputError, match=f"{name} is .*, expected a whole number of at least 1"):
        Layout(**({"latency_threads": 1, "workers": 1, "token_budget": 1, **wrong}))


def test_whole_numbers_of_numpy(cache: Path) -> None:
    many = default_layout(np.int64(2))  # type: ignore[arg-type]
    assert [type(number) for number in (many.latency_threads, many.workers)] == [int, int]
    write_tuned(cache / "kept.json", many)
    assert read_tuned(cache / "kept.json") == default_layout(2)


def test_tuned_layout_is_found_again(cache: Path) -> None:
    path = tuned_path(SHA, "1.32.0")
    assert path.parent == cache / "tuned"
    write_tuned(path, TUNED)
    assert layout_for(SHA, "1.32.0", threads=None) == TUNED
    assert layout_for(SHA, "1.32.0", threads=7) == Layout(latency_threads=7, workers=7, token_budget=1024, fusions=True)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("sha", "runtime", "kind"), [("cd" * 32, "1.32.0", "cpu"), (SHA, "1.33.0", "cpu"), (SHA, "1.32.0", "cuda")]
)
def test_it_counts_for_that_graph_runtime_and_device_only(sha: str, runtime: str, kind: str) -> None:
    write_tuned(tuned_path(SHA, "1.32.0"), TUNED)
    assert layout_for(sha, runtime, threads=None, device=Device(kind)) == default_layout(kind=kind)


def test_what_a_card_was_tuned_for_counts_for_cards_of_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, model in {"0000:01:00.0": "A", "0000:02:00.0": "B", "0000:03:00.0": "A"}.items():
        (tmp_path / "gpus" / place).mkdir(parents=True)
        text = f"Model: \t\t {model}\nIRQ:   \t\t 1{place[6]}\n"
        (tmp_path / "gpus" / place / "information").write_text(text, encoding="utf-8")
    monkeypatch.setattr(layout, "_CARDS", tmp_path / "gpus")
    write_tuned(tuned_path(SHA, "1.32.0", device=Device("cuda", 0)), TUNED)
    found = [layout_for(SHA, "1.32.0", threads=None, device=Device("cuda", index)) for index in range(4)]
    assert found == [TUNED, default_layout(kind="cuda"), TUNED, default_layout(kind="cuda")]
    assert layout_for(SHA, "1.32.0", threads=None) == default_layout()
    told = layout_for(SHA, "1.32.0", threads=7, device=Device("cuda", 0))
    assert (told.latency_threads, told.workers) == (7, TUNED.workers)


def test_it_counts_for_that_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    write_tuned(tuned_path(SHA, "1.32.0"), TUNED)
    monkeypatch.setattr(layout, "_processor", lambda: "another one")
    assert layout_for(SHA, "1.32.0", threads=None) == default_layout()


def test_a_graph_without_a_manifest_has_the_defaults() -> None:
    assert layout_for(None, "1.32.0", threads=None) == default_layout()


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", json.dumps({"layout": {"workers": 2}}), json.dumps({"layout": {"x": 1}}), "\x00"]
)
def test_a_damaged_file_is_named_and_not_used(content: str) -> None:
    path = tuned_path(SHA, "1.32.0")
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")
    with pytest.warns(UserWarning, match="is not used .*embedrt tune"):
        assert read_tuned(path) is None


def _refused(_path: Path) -> bool:
    raise PermissionError(13, "Permission denied")


def test_a_cache_that_may_not_be_looked_into_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    write_tuned(tuned_path(SHA, "1.32.0"), TUNED)
    monkeypatch.setattr(Path, "is_file", _refused)  # as Python 3.11 does; root, who runs tests, may look anywhere
    assert layout_for(SHA, "1.32.0", threads=None) == default_layout()


def test_who_has_no_home_has_the_defaults(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("EMBEDRT_CACHE")
    monkeypatch.setattr(Path, "home", homeless)
    with SentenceEncoder(tiny) as encoder:
        assert encoder._opened.layout == default_layout()
    with pytest.raises(UnavailableError, match="no home folder is known to keep what was tuned in: set EMBEDRT_CACHE"):
        tuned_path(SHA, "1.32.0")


def test_an_encoder_uses_what_was_tuned(tiny: Path) -> None:
    with SentenceEncoder(tiny) as plain:
        assert plain._opened.layout == default_layout()
        sha, texts = plain._opened.artifact.graph_sha256, [f"cat {'hello ' * (index % 9)}" for index in range(50)]
        vectors = plain.encode(texts)
    assert sha is not None
    write_tuned(tuned_path(sha, __import__("onnxruntime").__version__), TUNED)
    with SentenceEncoder(tiny) as tuned, SentenceEncoder(tiny, layout=default_layout(1)) as told:
        assert tuned._opened.layout == TUNED
        assert (tuned.threads, tuned._opened.session.threads) == (3, 1)
        assert told._opened.layout == default_layout(1)
        assert (tuned.encode(texts) == vectors).all()
