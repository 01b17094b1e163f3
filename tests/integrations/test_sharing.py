"""Who names a model alike shares it."""

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from embedrt import SentenceEncoder
from embedrt.errors import ArtifactNotFoundError
from embedrt.integrations.sharing import _LOADED, shared


def test_one_model_for_all_who_name_it_alike(prompted: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: shared(SentenceEncoder, prompted), range(8)))
    assert len({id(encoder) for encoder in found}) == 1
    assert shared(SentenceEncoder, str(prompted), device="cpu", variant=None) is found[0]


def test_a_path_is_what_it_leads_to(
    tmp_path: Path, write_artifact: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("here", "there"):
        write_artifact(tmp_path / folder / "model", seed=len(folder))
    monkeypatch.chdir(tmp_path / "here")
    here = shared(SentenceEncoder, "model")
    assert shared(SentenceEncoder, "model/") is here
    assert shared(SentenceEncoder, tmp_path / "here/model") is here
    monkeypatch.chdir(tmp_path / "there")
    assert shared(SentenceEncoder, "model") is not here


def test_a_model_that_has_changed_is_loaded_again(tmp_path: Path, write_artifact: Callable[..., Path]) -> None:
    before = shared(SentenceEncoder, write_artifact(tmp_path / "model"))
    write_artifact(tmp_path / "new", seed=1)
    (tmp_path / "model").rename(tmp_path / "old")
    (tmp_path / "new").rename(tmp_path / "model")  # as `embedrt export --overwrite` does
    after = shared(SentenceEncoder, tmp_path / "model")
    assert (after.encode("hello") != before.encode("hello")).any()


def test_other_options_are_another_model(prompted: Path) -> None:
    first, second = shared(SentenceEncoder, prompted), shared(SentenceEncoder, prompted, threads=1)
    assert first is not second
    assert second.threads == 1


def test_a_model_goes_when_nobody_holds_it(tiny: Path) -> None:
    held = shared(SentenceEncoder, tiny)
    key = next(key for key, encoder in _LOADED.items() if encoder is held)
    del held
    gc.collect()
    assert key not in _LOADED


def test_an_option_that_there_is_not(prompted: Path) -> None:
    options: Any = {"varient": "int8"}
    with pytest.raises(TypeError, match="unknown options varient, expected some of variant, device, threads, revision"):
        shared(SentenceEncoder, prompted, **options)


def test_a_model_that_failed_to_load_is_tried_again(tmp_path: Path, prompted: Path) -> None:
    with pytest.raises(ArtifactNotFoundError):
        shared(SentenceEncoder, tmp_path / "later")
    (tmp_path / "later").symlink_to(prompted)
    assert shared(SentenceEncoder, tmp_path / "later").get_embedding_dimension() == 8
