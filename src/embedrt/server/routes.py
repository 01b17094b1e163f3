"""Which path is answered by what."""

from embedrt.server import cohere, dialects, openai, pages, tei
from embedrt.server.asking import Handler, Route

__all__ = ["MODEL", "routes"]

_READING = frozenset(["GET", "HEAD"])
_POSTED_TEI: dict[str, Handler] = {
    "/embed": tei.embed,
    "/embed_all": tei.embed_all,
    "/embed_sparse": tei.embed_sparse,
    "/similarity": tei.similarity,
    "/rerank": tei.rerank,
    "/predict": tei.predict,
    "/tokenize": tei.tokenize,
    "/decode": tei.decode,
}
MODEL = Route({"GET": openai.model, "HEAD": openai.model}, dialects.openai, label="/v1/models/{model}")
"""What answers under ``/v1/models/NAME``."""


def routes(health: Handler, metrics: Handler) -> dict[str, Route]:
    """Every route by its path; ``health`` and ``metrics`` know the server."""
    found = {"/": Route(_reading(pages.index) | {"POST": tei.by_kind}, dialects.tei, public=_READING, label="/")}
    for path, handler in _POSTED_TEI.items():
        found[path] = Route({"POST": handler}, dialects.tei, label=path)
    for path in ("/v1/embeddings", "/embeddings"):
        found[path] = Route({"POST": openai.embeddings}, dialects.openai, label=path)
    for path in ("/v1/rerank", "/v2/rerank"):
        found[path] = Route({"POST": cohere.rerank}, dialects.cohere, label=path)
    found["/v1/models"] = Route(_reading(openai.models), dialects.openai, label="/v1/models")
    found["/info"] = Route(_reading(tei.info), dialects.tei, label="/info")
    public = {
        "/health": health, "/ping": health, "/metrics": metrics, "/docs": pages.docs,
        "/openapi.json": pages.openapi, "/api-doc/openapi.json": pages.openapi,
    }  # fmt: skip
    for path, handler in public.items():
        found[path] = Route(_reading(handler), dialects.tei, public=_READING, label=path)
    return found


def _reading(handler: Handler) -> dict[str, Handler]:
    return {"GET": handler, "HEAD": handler}
