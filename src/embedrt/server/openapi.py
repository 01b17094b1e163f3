"""The OpenAPI document of a server: every route with its bodies and statuses."""

from typing import Any

from embedrt import __version__
from embedrt.server.schemas import reference, schemas
from embedrt.server.settings import Limits

__all__ = ["document"]

_MEANINGS = {
    400: "The body is not JSON, is empty, or asks for what cannot be done",
    401: "The API key is missing or wrong",
    404: "There is no such model",
    408: "The body did not arrive in time",
    413: "The body is too large",
    422: "The body asks for what cannot be done",
    424: "The model cannot do this, or failed",
    429: "Too much is waiting already; Retry-After says when to come again",
    503: "The server is shutting down, or a worker is being replaced",
}
_OPENAI = ("OpenAIError", (400, 401, 404, 408, 413, 424, 429, 503))
_TEI = ("ErrorResponse", (400, 401, 408, 413, 422, 424, 429, 503))
_COHERE = ("CohereError", (400, 401, 404, 408, 413, 422, 424, 429, 503))
_POSTED = (
    ("/v1/embeddings", "CreateEmbedding", "OpenAI", "Vectors of texts", _OPENAI),
    ("/embed", "Embed", "text-embeddings-inference", "Vectors of texts", _TEI),
    ("/embed_all", "EmbedAll", "text-embeddings-inference", "Vectors of tokens", _TEI),
    ("/embed_sparse", "EmbedSparse", "text-embeddings-inference", "Sparse vectors of texts", _TEI),
    ("/similarity", "Similarity", "text-embeddings-inference", "Cosine of one text with others", _TEI),
    ("/rerank", "Rerank", "text-embeddings-inference", "Texts by how well they answer a query", _TEI),
    ("/predict", "Predict", "text-embeddings-inference", "Labels of texts", _TEI),
    ("/tokenize", "Tokenize", "text-embeddings-inference", "Tokens of texts", _TEI),
    ("/decode", "Decode", "text-embeddings-inference", "Texts of token ids", _TEI),
    ("/v1/rerank", "CohereRerank", "Cohere", "Documents by how well they answer a query", _COHERE),
)


def document(limits: Limits, *, secured: bool) -> dict[str, Any]:
    """OpenAPI 3.1; ``secured`` where API keys are asked for."""
    paths: dict[str, Any] = {
        path: {"post": _posted(name, tag, text, errors)} for path, name, tag, text, errors in _POSTED
    }
    paths["/v1/models"] = {"get": _got("OpenAI", "The models", _json(reference("ListModelsResponse")), _OPENAI, (401,))}
    one = _got("OpenAI", "One model", _json(reference("Model")), _OPENAI, (401, 404))
    one["parameters"] = [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}]
    paths["/v1/models/{model}"] = {"get": one}
    paths["/info"] = {
        "get": _got("text-embeddings-inference", "The model and the limits", _json(reference("Info")), _TEI, (401,))
    }
    paths["/health"] = {"get": _open("Whether the server can serve", None, (503,))}
    paths["/metrics"] = {"get": _open("Figures for Prometheus", "text/plain")}
    paths["/"] = {"get": _open("A page to try the server", "text/html")}
    paths["/docs"] = {"get": _open("This document for people", "text/html")}
    content: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "embedrt",
            "version": __version__,
            "description": "Sentence embeddings without PyTorch. /models/NAME in front of a route of text-embeddings-inference "
            "names one of several models.",
        },
        "paths": paths,
        "components": {"schemas": schemas(limits)},
    }
    if secured:
        content["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        content["security"] = [{"key": []}]
    return content


def _posted(name: str, tag: str, text: str, errors: tuple[str, tuple[int, ...]]) -> dict[str, Any]:
    return {
        "tags": [tag],
        "summary": text,
        "requestBody": {"required": True, "content": _json(reference(f"{name}Request"))},
        "responses": {
            "200": {"description": text, "content": _json(reference(f"{name}Response"))},
            **_refused(errors[0], errors[1]),
        },
    }


def _got(tag: str, text: str, content: Any, errors: tuple[str, Any], statuses: tuple[int, ...]) -> dict[str, Any]:
    return {
        "tags": [tag],
        "summary": text,
        "responses": {"200": {"description": text, "content": content}, **_refused(errors[0], (*statuses, 429))},
    }


def _open(text: str, kind: str | None, statuses: tuple[int, ...] = ()) -> dict[str, Any]:
    """A route that needs no key."""
    answered: dict[str, Any] = {"description": text}
    if kind is not None:
        answered["content"] = {kind: {"schema": {"type": "string"}}}
    return {
        "tags": ["Server"],
        "summary": text,
        "security": [],
        "responses": {"200": answered, **_refused("ErrorResponse", statuses)},
    }


def _refused(schema: str, statuses: tuple[int, ...]) -> dict[str, Any]:
    return {str(status): {"description": _MEANINGS[status], "content": _json(reference(schema))} for status in statuses}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
