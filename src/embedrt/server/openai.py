"""OpenAI's routes: ``/v1/embeddings``, ``/v1/models``."""

import asyncio
import base64
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import orjson

from embedrt.server.asking import Asking
from embedrt.server.exchange import Response
from embedrt.server.fields import within
from embedrt.server.inputs import Inputs
from embedrt.server.jobs import Result
from embedrt.server.models import ServedModel
from embedrt.vectors import finishing

__all__ = ["embeddings", "finished", "model", "models"]

_PIECE = 64
"""Vectors that are written without a pause: some 2 ms, after which others on the event loop have a turn."""


async def embeddings(asking: Asking) -> Response:
    """``POST /v1/embeddings``."""
    fields = await asking.fields()
    model = asking.model(fields.optional_text("model"))
    items = fields.items("input", model.tokenizer.vocabulary_size)
    exchange = asking.exchange
    exchange.texts, exchange.characters = len(items), within(asking.limits, items, "input")
    as_base64 = fields.choice("encoding_format", ("float", "base64")) == "base64"
    dimensions = fields.count("dimensions", most=model.description.dimension)
    fields.optional_text("user")
    inputs = Inputs(items=items, prompt_name=fields.optional_text("prompt_name"), truncate=asking.truncate)
    embedded = await model.embed(inputs, exchange)
    vectors = finished(model, embedded.results, dimensions=dimensions)
    return Response(await _body(model.description.name, vectors, embedded.tokens, as_base64=as_base64))


async def models(asking: Asking) -> Response:
    """``GET /v1/models``."""
    listed = [_listed(model) for model in asking.registry]
    return Response(orjson.dumps({"object": "list", "data": listed}))


async def model(asking: Asking) -> Response:
    """``GET /v1/models/NAME``."""
    return Response(orjson.dumps(_listed(asking.model())))


def finished(
    model: ServedModel, results: Sequence[Result], *, dimensions: int | None, normalize: bool = False
) -> npt.NDArray[np.float32]:
    """Vectors (texts, dim) as they are sent.

    Cut to ``dimensions`` they are normalized again; else they are as the graph gives them, normalized where that is asked for
    and the graph has not done it.
    """
    vectors = np.stack(results)
    described = model.description
    shorter = dimensions is not None and dimensions < described.dimension
    if not shorter and (described.normalized or not normalize):
        return vectors
    finish = finishing(described.dimension, "float32", normalize or shorter, dimensions)
    return finish(vectors)


async def _body(name: str, vectors: npt.NDArray[np.float32], tokens: int, *, as_base64: bool) -> bytes:
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    if len(vectors) <= _PIECE:
        data = _data(vectors, 0, as_base64=as_base64)
        content = {"object": "list", "data": data, "model": name, "usage": usage}
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    pieces = []
    for start in range(0, len(vectors), _PIECE):
        data = _data(vectors[start : start + _PIECE], start, as_base64=as_base64)
        pieces.append(orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
        await asyncio.sleep(0)
    end = orjson.dumps({"model": name, "usage": usage})
    return b'{"object":"list","data":[' + b",".join(pieces) + b"]," + end[1:]


def _data(vectors: npt.NDArray[np.float32], start: int, *, as_base64: bool) -> list[dict[str, object]]:
    return [
        {"object": "embedding", "index": start + index, "embedding": _in_base64(vector) if as_base64 else vector}
        for index, vector in enumerate(vectors)
    ]


def _in_base64(vector: npt.NDArray[np.float32]) -> str:
    """Little-endian float32."""
    return base64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode("ascii")


def _listed(model: ServedModel) -> dict[str, object]:
    described = model.description
    return {"id": described.name, "object": "model", "created": described.created, "owned_by": "embedrt"}
