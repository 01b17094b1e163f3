"""``POST /v1/rerank`` and ``/v2/rerank`` in Cohere's shape."""

from typing import Any

import orjson

from embedrt.server.asking import Asking
from embedrt.server.exchange import Response
from embedrt.server.fields import Fields, require_length, within
from embedrt.server.inputs import Inputs, Item
from embedrt.server.refusals import Refusal
from embedrt.server.tei import best_first

__all__ = ["rerank"]


async def rerank(asking: Asking) -> Response:
    """Documents by how well they answer a query, the best first."""
    fields = await asking.fields()
    model = asking.model(fields.optional_text("model"))
    query, documents = fields.text("query"), _texts(fields)
    require_length(asking.limits, query, "query")
    exchange = asking.exchange
    items: list[Item] = [*documents]
    exchange.texts, exchange.characters = len(items), within(asking.limits, items, "documents")
    most = fields.count("top_n") or len(documents)
    return_documents = fields.flag("return_documents", False)
    inputs = Inputs(items=items, truncate=fields.flag("truncate", asking.truncate))
    scores = await model.rank(query, inputs, raw_scores=False, exchange=exchange)
    results = [
        {
            "index": index,
            "relevance_score": scores[index],
            **({"document": {"text": documents[index]}} if return_documents else {}),
        }
        for index in best_first(scores)[:most]
    ]
    meta = {"api_version": {"version": "1"}, "billed_units": {"search_units": 1}}
    return Response(orjson.dumps({"id": exchange.identity, "results": results, "meta": meta}))


def _texts(fields: Fields) -> list[str]:
    return [_text(document) for document in fields.array("documents")]


def _text(document: Any) -> str:
    """A document is a string, or an object with a text."""
    if isinstance(document, dict):
        document = document.get("text")
    if not isinstance(document, str):
        raise Refusal("validation", "`documents` must be strings, or objects with a text", param="documents")
    return document
