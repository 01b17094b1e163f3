"""Models by Hub id, against a stand-in for the Hub on this machine: what is asked for, and what is told when it is not there."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx.external_data_helper import set_external_data

from embedrt.artifact.hub import is_hub_id

Write = Callable[..., Path]
Reference = Callable[..., list[list[float]]]
Hub = Any
"""The class of conftest.py, which cannot be imported."""


def _vector(printed: str) -> list[float]:
    return [float(value) for value in printed[printed.index("[") + 1 : printed.index("]")].split(",")]


def test_only_the_files_of_the_variant_are_downloaded(hub: Hub, write_artifact: Write, reference: Reference) -> None:
    folder = write_artifact(hub.folder / "tests" / "tiny", variants={"fp32": {}, "int8": {"seed": 1}})
    (folder / "model.safetensors").write_bytes(b"large")
    printed = hub.load("tests/tiny")
    assert printed.startswith("fp32 ")
    assert _vector(printed) == pytest.approx(reference(folder, ["hello world"])[0], rel=1e-5, abs=1e-6)
    assert hub.asked("tests/tiny") == ["embedrt.json", "onnx/model.onnx", "tokenizer.json"]
    hub.log.clear()
    printed = hub.load("tests/tiny", variant="int8")
    assert _vector(printed) == pytest.approx(reference(folder, ["hello world"], seed=1)[0], rel=1e-5, abs=1e-6)
    assert hub.asked("tests/tiny") == ["onnx/model_int8.onnx"]  # the rest is in the cache


def test_the_revision_is_passed_on(hub: Hub, write_artifact: Write) -> None:
    write_artifact(hub.folder / "tests" / "tiny")
    assert hub.load("tests/tiny", revision="v2").startswith("fp32 ")
    assert hub.asked("tests/tiny", "v2") == ["embedrt.json", "onnx/model.onnx", "tokenizer.json"]


def test_the_second_time_no_hub_is_needed(hub: Hub, write_artifact: Write) -> None:
    write_artifact(hub.folder / "tests" / "tiny")
    online = hub.load("tests/tiny")
    hub.log.clear()
    assert hub.load("tests/tiny", offline=True) == online
    assert hub.log == []


def _unreachable(hub: Hub, why: str) -> dict[str, str]:
    """Environment of a client that gets no answer."""
    hub.broken = why == "connections break"
    if hub.broken:
        return {}
    proxy = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), hub.address)  # which refuses, for it knows no CONNECT
    return {"HF_ENDPOINT": "https://hub.invalid", **proxy}


@pytest.mark.parametrize("why", ["a proxy refuses", "connections break"])
def test_what_is_in_the_cache_needs_no_hub_that_answers(hub: Hub, write_artifact: Write, why: str) -> None:
    write_artifact(hub.folder / "tests" / "tiny")
    online = hub.load("tests/tiny")
    assert hub.load("tests/tiny", **_unreachable(hub, why)) == online


@pytest.mark.parametrize("why", ["a proxy refuses", "connections break"])
def test_a_hub_that_does_not_answer_is_told(hub: Hub, write_artifact: Write, why: str) -> None:
    write_artifact(hub.folder / "tests" / "tiny")
    printed = hub.load("tests/tiny", **_unreachable(hub, why))
    assert printed.startswith(
        "ArtifactNotFoundError there is no folder 'tests/tiny' here, and the Hub could not be asked for embedrt.json"
    )
    assert len(hub.log) <= 2  # not once for each file


@pytest.mark.parametrize("offline", [False, True])
def test_a_name_without_an_organization_tells_how_to_export(hub: Hub, offline: bool) -> None:
    printed = hub.load("all-MiniLM-L6-v2", offline=offline)
    assert printed.startswith("ArtifactNotFoundError there is no folder 'all-MiniLM-L6-v2' here, and the Hub ")
    assert printed.endswith(
        ". If it is sentence-transformers/all-MiniLM-L6-v2, "
        "type: embedrt export sentence-transformers/all-MiniLM-L6-v2 OUT, and load OUT\n"
    )


def _foreign_repository(hub: Hub, write_graph: Write, write_tokenizer: Write) -> Path:
    folder: Path = hub.folder / "tests" / "foreign"
    write_graph(folder / "onnx" / "model.onnx")
    write_tokenizer(folder)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 3}', encoding="utf-8")
    return folder


def test_a_repository_of_other_makers(
    hub: Hub, write_graph: Write, write_tokenizer: Write, reference: Reference
) -> None:
    folder = _foreign_repository(hub, write_graph, write_tokenizer)
    online = hub.load("tests/foreign")
    assert online.startswith("None ")
    assert _vector(online) == pytest.approx(reference(folder, ["hello"])[0], rel=1e-5, abs=1e-6)  # cut at 3 tokens
    files = ["config.json", "onnx/model.onnx", "sentence_bert_config.json", "tokenizer.json"]
    assert hub.asked("tests/foreign") == files


@pytest.mark.parametrize("by_commit", [False, True])
def test_a_repository_of_other_makers_needs_no_hub_the_second_time(
    hub: Hub, write_graph: Write, write_tokenizer: Write, by_commit: bool
) -> None:
    _foreign_repository(hub, write_graph, write_tokenizer)
    revision = hub.commit if by_commit else ""
    online = hub.load("tests/foreign", revision=revision)
    hub.log.clear()
    assert hub.load("tests/foreign", revision=revision, offline=True) == online
    assert hub.log == []


def _forget_what_is_not_there(hub: Hub, *, whole: bool) -> None:
    """The cache as snapshot_download leaves it, which notes no missing files; ``whole``: of all files, not of some."""
    (cached,) = (hub.cache / "hub").glob("models--*")
    shutil.rmtree(cached / ".no_exist")
    if whole:
        (cached / "snapshots" / hub.commit / ".gitattributes").write_text("", encoding="utf-8")


def test_a_repository_that_was_downloaded_whole_needs_no_hub(
    hub: Hub, write_graph: Write, write_tokenizer: Write
) -> None:
    _foreign_repository(hub, write_graph, write_tokenizer)
    online = hub.load("tests/foreign")
    _forget_what_is_not_there(hub, whole=True)
    assert hub.load("tests/foreign", offline=True) == online


def test_settings_that_may_be_missing_from_the_cache_are_asked_for(
    hub: Hub, write_graph: Write, write_tokenizer: Write
) -> None:
    _foreign_repository(hub, write_graph, write_tokenizer)
    hub.load("tests/foreign")
    _forget_what_is_not_there(hub, whole=False)
    assert "the Hub could not be asked for embedrt.json" in hub.load("tests/foreign", offline=True)


@pytest.mark.parametrize("place", ["onnx/model.onnx", "model.onnx"])
@pytest.mark.parametrize("location", ["model.onnx_data", "weights.bin"])
def test_weights_in_files_of_their_own_are_downloaded(
    hub: Hub, write_graph: Write, write_tokenizer: Write, reference: Reference, place: str, location: str
) -> None:
    folder = hub.folder / "tests" / "foreign"
    write_tokenizer(folder)
    graph = write_graph(folder / place)
    onnx.save(onnx.load(graph), graph, save_as_external_data=True, location=location, size_threshold=4096)
    printed = hub.load("tests/foreign")
    assert _vector(printed) == pytest.approx(reference(folder, ["hello world"])[0], rel=1e-5, abs=1e-6)
    assert hub.asked("tests/foreign") == sorted([place, str(Path(place).with_name(location)), "tokenizer.json"])
    assert hub.load("tests/foreign", offline=True) == printed


def test_weights_outside_of_the_folder_are_not_asked_for(hub: Hub, write_graph: Write, write_tokenizer: Write) -> None:
    folder = hub.folder / "tests" / "foreign"
    write_tokenizer(folder)
    graph = write_graph(folder / "model.onnx")
    model = onnx.load(graph)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "words")
    set_external_data(tensor, "../weights.bin")
    tensor.ClearField("raw_data")
    graph.write_bytes(model.SerializeToString())
    printed = hub.load("tests/foreign")
    assert printed.startswith("IntegrityError ")
    assert "model.onnx keeps weights in '../weights.bin', which lies outside of its folder" in printed


def test_a_pytorch_checkpoint_tells_how_to_export(hub: Hub) -> None:
    folder = hub.folder / "tests" / "checkpoint"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"large")
    printed = hub.load("tests/checkpoint")
    assert printed.startswith("ArtifactNotFoundError the Hub repository 'tests/checkpoint' has no onnx/model.onnx.")
    assert "type: embedrt export tests/checkpoint OUT, and load OUT" in printed
    assert hub.asked("tests/checkpoint") == []


def test_a_graph_without_a_tokenizer_is_named(hub: Hub, write_graph: Write) -> None:
    write_graph(hub.folder / "tests" / "bare" / "onnx" / "model.onnx")
    printed = hub.load("tests/bare")
    assert printed.startswith("ArtifactNotFoundError the Hub repository 'tests/bare' has no tokenizer.json.")


def test_a_missing_repository_is_named(hub: Hub) -> None:
    printed = hub.load("tests/missing")
    assert printed.startswith(
        "ArtifactNotFoundError there is no folder 'tests/missing' here, and the Hub gave no embedrt.json"
    )


def test_a_missing_revision_is_named(hub: Hub, write_artifact: Write) -> None:
    write_artifact(hub.folder / "tests" / "tiny")
    printed = hub.load("tests/tiny", revision="v3")
    assert printed.startswith(
        "ArtifactNotFoundError there is no folder 'tests/tiny' here, and the Hub gave no embedrt.json"
    )
    assert "v3" in printed


def test_what_was_never_downloaded_needs_the_hub(hub: Hub, write_artifact: Write) -> None:
    write_artifact(hub.folder / "tests" / "tiny")
    printed = hub.load("tests/tiny", offline=True)
    assert printed.startswith(
        "ArtifactNotFoundError there is no folder 'tests/tiny' here, and the Hub could not be asked for embedrt.json"
    )
    assert hub.log == []


def test_a_damaged_download_is_named(hub: Hub, write_artifact: Write) -> None:
    folder = write_artifact(hub.folder / "tests" / "tiny")
    graph = folder / "onnx" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    printed = hub.load("tests/tiny")
    assert printed.startswith("IntegrityError ")
    assert "the manifest names" in printed


def test_a_folder_goes_before_the_hub(
    hub: Hub, tmp_path: Path, write_artifact: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_artifact(tmp_path / "tests" / "tiny")
    monkeypatch.chdir(tmp_path)
    assert hub.load("tests/tiny").startswith("fp32 ")
    assert hub.log == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name", True),
        ("organization/name-v1.5_x", True),
        ("0rg/name", True),
        ("", False),
        ("./name", False),
        ("../name", False),
        ("/name", False),
        ("~/name", False),
        (".hidden", False),
        ("a/b/c", False),
        ("a/", False),
        ("a b", False),
        ("C:\\models", False),
        ("model.onnx", False),
        ("out/model.onnx", False),
        ("name\n", False),
    ],
)
def test_what_can_be_a_hub_id(text: str, expected: bool) -> None:
    assert is_hub_id(text) is expected
