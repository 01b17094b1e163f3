"""What HTTP stacks cost: each answers the same request with the same vector, without a model; processor time a request.

``python -m embedrt_bench.serving.stacks NAME PORT`` runs one of them.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from embedrt_bench.serving.load import load
from embedrt_bench.serving.process import started

__all__ = ["STACKS", "measure_stacks"]

_WIDTH = 384
_VECTOR = np.random.default_rng(0).standard_normal(_WIDTH).astype(np.float32)
_VECTOR /= np.linalg.norm(_VECTOR)
_JSON = [(b"content-type", b"application/json")]
_CLIENTS, _SECONDS = 16, 3.0


def _answered(body: bytes) -> bytes:
    """The whole work of a route on the request's side and the answer's, with orjson."""
    asked = orjson.loads(body)
    data = [{"object": "embedding", "index": 0, "embedding": _VECTOR}]
    usage = {"prompt_tokens": 16, "total_tokens": 16}
    content = {"object": "list", "data": data, "model": asked["model"], "usage": usage}
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def _as_lists(asked: dict[str, Any]) -> dict[str, Any]:
    """The same for libraries that know no arrays."""
    data = [{"object": "embedding", "index": 0, "embedding": _VECTOR.tolist()}]
    usage = {"prompt_tokens": 16, "total_tokens": 16}
    return {"object": "list", "data": data, "model": asked["model"], "usage": usage}


def _bare(answered: Callable[[bytes], bytes]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        message = await receive()
        body = answered(message["body"]) if scope["method"] == "POST" else b""
        headers = [*_JSON, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def _with_json(body: bytes) -> bytes:
    return json.dumps(_as_lists(json.loads(body))).encode()


def _with_msgspec(body: bytes) -> bytes:
    import msgspec

    return msgspec.json.encode(_as_lists(msgspec.json.decode(body)))


def _starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def embeddings(request: Request) -> Response:
        return Response(_answered(await request.body()), media_type="application/json")

    async def health(_request: Request) -> Response:
        return Response()

    return Starlette(routes=[Route("/v1/embeddings", embeddings, methods=["POST"]), Route("/health", health)])


def _fastapi() -> Any:
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Asked(BaseModel):
        model: str
        input: str | list[str]

    class Embedding(BaseModel):
        object: str
        index: int
        embedding: list[float]

    class Answer(BaseModel):
        object: str
        data: list[Embedding]
        model: str
        usage: dict[str, int]

    app = FastAPI()

    async def embeddings(asked: Asked) -> Any:
        return _as_lists({"model": asked.model})

    async def health() -> None:
        return

    app.post("/v1/embeddings", response_model=Answer)(embeddings)
    app.get("/health")(health)
    return app


def _uvicorn(app: Any, port: int, *, http: str = "httptools", loop: str = "uvloop") -> None:
    import uvicorn

    uvicorn.run(app, port=port, http=http, loop=loop, lifespan="off", access_log=False, log_level="error")


def _granian(app: str, port: int, interface: str) -> None:
    from granian import Granian
    from granian.constants import Interfaces

    Granian(
        f"embedrt_bench.serving.stacks:{app}", port=port, interface=Interfaces(interface), log_enabled=False
    ).serve()


bare_app = _bare(_answered)


async def rsgi_app(scope: Any, protocol: Any) -> None:
    """The interface that granian has of its own."""
    if scope.proto != "http":
        return
    body = _answered(await protocol()) if scope.method == "POST" else b""
    protocol.response_bytes(200, [("content-type", "application/json")], body)


def _ours(port: int) -> None:
    """The whole server, with a model that gives the vector at once: limits, keys, logs, metrics, queue and workers."""
    from embedrt_bench.models.minilm import exported, with_variants

    from embedrt.server import ModelSource, Server, ServerSettings

    folder = with_variants(exported()[0], ("int8",))
    source = ModelSource(name="minilm", location=str(folder), variant="int8")
    server = Server(ServerSettings(models=(source,), port=port, log_file=Path("/dev/null")))
    for model in server.registry:
        model.run = lambda batch: [_VECTOR for _ in batch.members]  # type: ignore[method-assign]
    server.run()


STACKS: dict[str, Callable[[int], None]] = {
    "embedrt serve, model replaced by a constant": _ours,
    "uvicorn (httptools, uvloop), bare ASGI, orjson": lambda port: _uvicorn(bare_app, port),
    "uvicorn (httptools, asyncio), bare ASGI, orjson": lambda port: _uvicorn(bare_app, port, loop="asyncio"),
    "uvicorn (h11, uvloop), bare ASGI, orjson": lambda port: _uvicorn(bare_app, port, http="h11"),
    "uvicorn (httptools, uvloop), bare ASGI, msgspec": lambda port: _uvicorn(_bare(_with_msgspec), port),
    "uvicorn (httptools, uvloop), bare ASGI, json": lambda port: _uvicorn(_bare(_with_json), port),
    "uvicorn (httptools, uvloop), Starlette, orjson": lambda port: _uvicorn(_starlette(), port),
    "uvicorn (httptools, uvloop), FastAPI, pydantic": lambda port: _uvicorn(_fastapi(), port),
    "granian, ASGI, orjson": lambda port: _granian("bare_app", port, "asgi"),
    "granian, RSGI, orjson": lambda port: _granian("rsgi_app", port, "rsgi"),
}


def measure_stacks(bodies: Path, *, port: int, rounds: int = 3) -> dict[str, Any]:
    """Processor milliseconds and requests a second of each stack; medians of interleaved rounds."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in STACKS}
    for _ in range(rounds):
        for name in STACKS:
            command = [sys.executable, "-m", "embedrt_bench.serving.stacks", name, str(port)]
            with started(command, port=port) as server:
                load(server.address, bodies, clients=_CLIENTS, seconds=1)
                before = server.cpu_seconds()
                seen = load(server.address, bodies, clients=_CLIENTS, seconds=_SECONDS)
                spent = server.cpu_seconds() - before
            if seen["refused"] or seen["broken"]:
                raise RuntimeError(f"{name} failed under load: {seen}")
            found[name].append((1e3 * spent / seen["requests"], seen["requests"] / seen["seconds"]))
    medians = {name: np.median(runs, axis=0).tolist() for name, runs in found.items()}
    return {name: {"cpu_milliseconds": cpu, "per_second": rate} for name, (cpu, rate) in medians.items()}


def main() -> None:
    """Run one stack until it is ended."""
    name, port = sys.argv[1:]
    try:
        STACKS[name](int(port))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return


if __name__ == "__main__":
    main()
