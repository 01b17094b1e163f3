"""Hub ids without an organization: sentence-transformers' own are found, as it finds them."""

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from embedrt_export.source import place
from embedrt_export.source.place import folder_of
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from embedrt.errors import CheckpointError


def answering(monkeypatch: pytest.MonkeyPatch, **known: Any) -> list[str]:
    """The names that were asked for; what is not ``known`` is not there."""
    asked = []

    def download(name: str, **_options: Any) -> str:
        asked.append(name)
        found = known.get(name.replace("/", "_"))
        if isinstance(found, str):
            return found
        raise found or RepositoryNotFoundError(f"no {name}", response=MagicMock(headers={}))

    monkeypatch.setattr(place, "snapshot_download", download)
    return asked


@pytest.mark.parametrize("organization", ["sentence-transformers", "cross-encoder", "sparse-encoder"])
def test_their_own(monkeypatch: pytest.MonkeyPatch, organization: str) -> None:
    asked = answering(monkeypatch, **{f"{organization}_tiny": "/cache/0123"})
    assert folder_of("tiny", None) == (Path("/cache/0123"), f"{organization}/tiny", "0123")
    assert asked[0] == "tiny"


def test_a_name_that_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, tiny="/cache/4567")
    assert folder_of("tiny", None) == (Path("/cache/4567"), "tiny", "4567")
    assert asked == ["tiny"]


def test_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch)
    with pytest.raises(
        CheckpointError, match=r"^there is no folder at tiny, and the Hub gave none of that name: no tiny"
    ):
        folder_of("tiny", None)
    assert len(asked) == 4
    asked.clear()
    with pytest.raises(CheckpointError, match="the Hub gave none of that name: no someone/tiny"):
        folder_of("someone/tiny", None)
    assert asked == ["someone/tiny"]


def test_a_hub_that_fails_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = HfHubHTTPError("500 Server Error", response=MagicMock(headers={}))
    asked = answering(monkeypatch, tiny=failure)
    with pytest.raises(CheckpointError, match="500 Server Error"):
        folder_of("tiny", None)
    assert asked == ["tiny"]
