"""Checkpoints with a Router: one artifact a route, equal to what sentence-transformers does on that route."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import pytest
import torch
from embedrt_export.source.routes import on_route
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Router, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling

from embedrt import SentenceEncoder
from embedrt.errors import CheckpointError

WIDTH = 32
TEXTS = ["how do i reset my password ?", "", "the cat sleeps on the roof .", "忘记密码怎么办", "a " * 60]
PROMPTS = {"query": "how do i ", "document": ""}


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory, plain_bert: Path) -> Path:
    """Queries and documents through a transformer each, of different length limits, and one normalization for both."""
    folder = tmp_path_factory.mktemp("routes") / "towers"
    query, document = Transformer(str(plain_bert), max_seq_length=16), Transformer(str(plain_bert), max_seq_length=32)
    with torch.no_grad():
        for weight in query.auto_model.parameters():
            weight.mul_(1.1)
    router = Router.for_query_document(
        query_modules=[query, Pooling(WIDTH, pooling_mode="cls")],
        document_modules=[document, Pooling(WIDTH, pooling_mode="mean")],
    )
    SentenceTransformer(modules=[router, Normalize()], device="cpu", prompts=PROMPTS).save(str(folder))
    return folder


@pytest.fixture(scope="module")
def asymmetric(tmp_path_factory: pytest.TempPathFactory, plain_bert: Path) -> Path:
    """One transformer for both, and a Dense layer each behind pooling."""
    folder = tmp_path_factory.mktemp("routes") / "asymmetric"
    torch.manual_seed(3)
    router = Router.for_query_document(query_modules=[Dense(WIDTH, 12)], document_modules=[Dense(WIDTH, 12)])
    modules = [Transformer(str(plain_bert), max_seq_length=24), Pooling(WIDTH, pooling_mode="mean"), router]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder


@pytest.mark.parametrize("checkpoint", ["towers", "asymmetric"])
def test_each_route_is_an_artifact(request: pytest.FixtureRequest, tmp_path: Path, checkpoint: str) -> None:
    folder: Path = request.getfixturevalue(checkpoint)
    theirs = SentenceTransformer(str(folder), device="cpu")
    found = {}
    for route in ("query", "document"):
        manifest = embedrt_export.export(str(folder), tmp_path / route, route=route, quiet=True)
        assert manifest.source.route == route
        with SentenceEncoder(tmp_path / route) as ours:
            named: dict[str, Callable[..., np.ndarray]] = {"query": ours.encode_query, "document": ours.encode_document}
            found[route] = named[route](TEXTS)
        encode = theirs.encode_query if route == "query" else theirs.encode_document
        np.testing.assert_allclose(found[route], encode(TEXTS), rtol=0, atol=1e-5)
        embedrt_export.verify(tmp_path / route, against=str(folder), quiet=True)
    assert np.abs(found["query"] - found["document"]).max() > 1e-2


def test_a_route_keeps_the_width_that_the_checkpoint_cuts_to(towers: Path, tmp_path: Path) -> None:
    SentenceTransformer(str(towers), device="cpu", truncate_dim=8).save(str(tmp_path / "cut"))
    manifest = embedrt_export.export(str(tmp_path / "cut"), tmp_path / "out", route="query", quiet=True)
    assert manifest.serving.dimension == 8
    expected = SentenceTransformer(str(tmp_path / "cut"), device="cpu").encode_query(TEXTS)
    with SentenceEncoder(tmp_path / "out") as ours:
        np.testing.assert_allclose(ours.encode_query(TEXTS), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("route", "message"),
    [
        (None, "has the routes query, document, and none was named: pass --route with one of them"),
        ("queries", "has the routes query, document, and 'queries' was named"),
    ],
)
def test_a_route_must_be_named(towers: Path, tmp_path: Path, route: str | None, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        embedrt_export.export(str(towers), tmp_path / "out", route=route, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_a_route_of_a_checkpoint_without_routes(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no routes, so none called 'query': leave out --route"):
        embedrt_export.export(str(tiny_checkpoint), tmp_path / "out", route="query", quiet=True)


@pytest.mark.parametrize("kind", [CrossEncoder, MultiVectorEncoder])
def test_routes_of_other_kinds(plain_bert: Path, kind: Any) -> None:
    sides = [Transformer(str(plain_bert)) for _ in range(2)]
    router = Router.for_query_document(query_modules=sides[:1], document_modules=sides[1:])
    model = kind(modules=[router], device="cpu")
    for route in (None, "query"):
        with pytest.raises(CheckpointError, match=rf"is a {kind.__name__} with the routes query, document; .*: save"):
            on_route(model, route)
