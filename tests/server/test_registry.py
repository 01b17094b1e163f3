"""Several models in one process: names, aliases, folders, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedrt import SentenceEncoder
from embedrt.errors import ArtifactNotFoundError, InputError
from embedrt.server import ModelSource, Server, ServerSettings
from embedrt.server.registry import model_source, sources_in

Ask = Callable[..., Any]


def test_names(served: Path) -> None:
    assert model_source(str(served)) == ModelSource(name="tiny", location=str(served))
    assert model_source(f"mini={served}").name == "mini"
    assert model_source("org/model").name == "org/model"
    assert model_source(str(served / "onnx" / "model.onnx")).name == "model"
    assert model_source("a=b=c") == ModelSource(name="a=b", location="c")
    with pytest.raises(InputError, match="names a model by nothing, expected NAME=ARTIFACT"):
        model_source("=path")


def test_a_folder_of_artifacts(
    tmp_path: Path, write_artifact: Callable[..., Path], start: Callable[..., Server], ask: Ask
) -> None:
    with pytest.raises(ArtifactNotFoundError, match=r"no folder of .* has an embedrt.json"):
        sources_in(tmp_path)
    for seed, name in enumerate(("one", "two", "three")):
        write_artifact(tmp_path / name, variants={"fp32": {"seed": seed}})
    (tmp_path / "notes").mkdir()
    sources = sources_in(tmp_path)
    assert [source.name for source in sources] == ["one", "three", "two"]
    with start(*sources) as server:
        assert server.engine.crew.count == 2  # however many models there are
        for name in ("one", "two", "three"):
            with SentenceEncoder(tmp_path / name) as encoder:
                expected = encoder.encode(["a cat"])
            body = {"model": name, "input": "a cat"}
            found = ask(server, "POST", "/v1/embeddings", body).json["data"][0]["embedding"]
            np.testing.assert_array_equal(np.array(found, dtype=np.float32), expected[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": ()}, "there is no model to serve: pass an artifact folder"),
        ({"models": (ModelSource(name="a", location="x"),) * 2}, "two models are called a: name them, NAME=ARTIFACT"),
        ({"aliases": {"b": "gone"}}, "alias b is for gone, which is none of the models a"),
        ({"aliases": {"a": "a"}}, "alias a is the name of a model already"),
    ],
)
def test_settings_that_cannot_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ServerSettings(**{"models": (ModelSource(name="a", location="x"),), **change})


def test_a_model_that_is_not_there(start: Callable[..., Server]) -> None:
    with pytest.raises(ArtifactNotFoundError, match=r"there is no folder or \.onnx file at /gone/model"):
        start(ModelSource(name="a", location="/gone/model"))
