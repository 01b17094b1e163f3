"""The routes of text-embeddings-inference, with its bodies, statuses and headers."""

import asyncio
import itertools
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import orjson

from embedrt import __version__
from embedrt.server.asking import Asking
from embedrt.server.exchange import Exchange, Response
from embedrt.server.fields import Fields, require_count, require_length, within
from embedrt.server.inputs import Inputs, Item, require_tokens
from embedrt.server.jobs import Result
from embedrt.server.models import Description, ServedModel
from embedrt.server.openai import finished
from embedrt.server.refusals import Refusal
from embedrt.server.settings import Limits
from embedrt.text.tokenizer import Piece, TextTokenizer

__all__ = [
    "by_kind",
    "decode",
    "embed",
    "embed_all",
    "embed_sparse",
    "info",
    "predict",
    "rerank",
    "similarity",
    "tokenize",
]

_PIECE = 64
"""Results that are written without a pause."""


async def by_kind(asking: Asking) -> Response:
    """``POST /``: what the model is for, as text-embeddings-inference chooses."""
    described = asking.model().description
    if described.labels:
        return await (rerank if len(described.labels) == 1 else predict)(asking)
    return await (embed_sparse if described.kind == "sparse" else embed)(asking)


async def embed(asking: Asking) -> Response:
    """``POST /embed``: a vector a text."""
    fields, model = await asking.fields(), asking.model()
    inputs = _inputs(asking, fields, _items(asking, fields, model))
    dimensions = fields.count("dimensions", most=model.description.dimension)
    normalize = fields.flag("normalize", True)
    embedded = await model.embed(inputs, asking.exchange)
    return await _answer(finished(model, embedded.results, dimensions=dimensions, normalize=normalize), asking)


async def embed_all(asking: Asking) -> Response:
    """``POST /embed_all``: a vector a token."""
    fields, model = await asking.fields(), asking.model()
    inputs = _inputs(asking, fields, _items(asking, fields, model))
    embedded = await model.embed_tokens(inputs, asking.exchange)
    return _response(await _written_by_tokens(embedded.results), asking)


async def embed_sparse(asking: Asking) -> Response:
    """``POST /embed_sparse``: weights of vocabulary entries a text."""
    fields, model = await asking.fields(), asking.model()
    inputs = _inputs(asking, fields, _items(asking, fields, model))
    rows = await model.embed_sparse(inputs, asking.exchange)
    return await _answer([[{"index": index, "value": value} for index, value in row] for row in rows], asking)


async def similarity(asking: Asking) -> Response:
    """``POST /similarity``: the cosine of one sentence with each of the others."""
    fields, model = await asking.fields(), asking.model()
    within_body = fields.object("inputs")
    source, sentences = within_body.text("source_sentence"), within_body.texts("sentences")
    if not sentences:
        raise Refusal("empty", "`inputs.sentences` cannot be empty", param="inputs")
    items: list[Item] = [source, *sentences]
    _counted(asking, items)
    inputs = _inputs(asking, fields.object("parameters", required=False), items)
    embedded = await model.embed(inputs, asking.exchange)
    return await _answer(model.similarities(embedded.results), asking)


async def rerank(asking: Asking) -> Response:
    """``POST /rerank``: texts by how well they answer a query, the best first."""
    fields, model = await asking.fields(), asking.model()
    query, texts = fields.text("query"), fields.texts("texts")
    require_length(asking.limits, query, "query")
    if not texts:
        raise Refusal("empty", "`texts` cannot be empty", param="texts")
    return_text, raw_scores = fields.flag("return_text", False), fields.flag("raw_scores", False)
    inputs = _inputs(asking, fields, _counted(asking, list[Item](texts)))
    scores = await model.rank(query, inputs, raw_scores=raw_scores, exchange=asking.exchange)
    ranks = [
        {"index": index, **({"text": texts[index]} if return_text else {}), "score": scores[index]}
        for index in best_first(scores)
    ]
    return await _answer(ranks, asking)


async def predict(asking: Asking) -> Response:
    """``POST /predict``: labels and scores, the best first, for a text or a pair of texts, or for several."""
    fields, model = await asking.fields(), asking.model()
    pairs, single = _pairs(fields)
    exchange = asking.exchange
    require_count(asking.limits, len(pairs), "inputs")
    exchange.texts = len(pairs)
    exchange.characters = sum(within(asking.limits, pair, "inputs") for pair in pairs)
    truncate, raw_scores = fields.flag("truncate", asking.truncate), fields.flag("raw_scores", False)
    found = await model.predict(pairs, truncate=truncate, raw_scores=raw_scores, exchange=exchange)
    rows = [
        [{"score": score, "label": label} for label, score in sorted(row.items(), key=lambda entry: -entry[1])]
        for row in found
    ]
    return await _answer(rows[0] if single else rows, asking)


async def tokenize(asking: Asking) -> Response:
    """``POST /tokenize``: the tokens of each text and their places in it, in bytes."""
    fields, model = await asking.fields(), asking.model()
    texts = fields.text_or_texts("inputs")
    _counted(asking, list[Item](texts))
    special_tokens = fields.flag("add_special_tokens", True)
    prefix = model.prefix(fields.optional_text("prompt_name"))
    whole = (prefix + text for text in texts)
    written = await model.aside(
        asking.exchange.characters,
        lambda: _tokenized(model.tokenizer, whole, asking.limits, special_tokens=special_tokens),
    )
    return Response(written)


async def decode(asking: Asking) -> Response:
    """``POST /decode``: the text of token ids."""
    fields, model = await asking.fields(), asking.model()
    rows = fields.rows_of_ids("ids", model.tokenizer.vocabulary_size)
    tokens = within(asking.limits, rows, "ids")
    require_tokens(asking.limits, tokens)
    skip, decode = fields.flag("skip_special_tokens", True), model.tokenizer.decode
    written = await model.aside(tokens, lambda: orjson.dumps([decode(row, skip_special_tokens=skip) for row in rows]))
    return Response(written)


async def info(asking: Asking) -> Response:
    """``GET /info``: what is served, and its limits."""
    model = asking.model()
    described, limits = model.description, asking.limits
    content = {
        "model_id": described.location,
        "model_sha": described.sha256,
        "model_dtype": described.precision,
        "served_model_name": described.name,
        "model_type": _model_type(described),
        "max_concurrent_requests": limits.requests,
        "max_input_length": described.max_tokens or limits.tokens,
        "max_batch_tokens": described.token_budget,
        "max_batch_requests": None,
        "max_client_batch_size": limits.texts,
        "auto_truncate": asking.truncate,
        "tokenization_workers": 1,
        "version": __version__,
        "sha": None,
        "docker_label": None,
    }
    return Response(orjson.dumps(content))


def _model_type(described: Description) -> dict[str, Any]:
    """As text-embeddings-inference has it: an embedding, a classifier of texts, or one of a single score."""
    if not described.labels:
        return {"embedding": {"pooling": described.pooling}}
    names = {
        "id2label": described.labels,
        "label2id": {label: int(number) for number, label in described.labels.items()},
    }
    return {"reranker" if len(described.labels) == 1 else "classifier": names}


def best_first(scores: Sequence[float]) -> list[int]:
    """Places of the scores, the highest first; equal ones in their order."""
    return sorted(range(len(scores)), key=lambda index: -scores[index])


def _items(asking: Asking, fields: Fields, model: ServedModel) -> list[Item]:
    return _counted(asking, fields.items("inputs", model.tokenizer.vocabulary_size))


def _counted(asking: Asking, items: list[Item]) -> list[Item]:
    exchange = asking.exchange
    exchange.texts, exchange.characters = len(items), within(asking.limits, items, "inputs")
    return items


def _inputs(asking: Asking, fields: Fields, items: Sequence[Item]) -> Inputs:
    return Inputs(
        items=items,
        prompt_name=fields.optional_text("prompt_name"),
        truncate=fields.flag("truncate", asking.truncate),
        side=fields.side("truncation_direction"),
    )


def _pairs(fields: Fields) -> tuple[list[list[str]], bool]:
    """The texts or pairs, and whether it is one that was not in an array of its own."""
    pairs, single = fields.sequences("inputs")
    if any(not 1 <= len(pair) <= 2 for pair in pairs):
        raise Refusal("validation", "`inputs`: a sequence is one string or a pair of strings", param="inputs")
    return pairs, single


def _tokenized(tokenizer: TextTokenizer, texts: Iterable[str], limits: Limits, *, special_tokens: bool) -> bytes:
    written, total = [], 0
    for text in texts:
        pieces = tokenizer.pieces(text, special_tokens=special_tokens)
        total += len(pieces)
        if total > limits.tokens:
            message = f"the inputs have more than the {limits.tokens} tokens that are allowed in a request"
            raise Refusal("validation", message, param="inputs")
        written.append(orjson.dumps(_tokens(text, pieces)))
    return _joined(written)


def _tokens(text: str, pieces: Iterable[Piece]) -> list[dict[str, Any]]:
    """Places are those of the text in UTF-8, as text-embeddings-inference counts them."""
    places = (
        [0, *itertools.accumulate(len(mark.encode()) for mark in text)] if not text.isascii() else range(len(text) + 1)
    )
    return [
        {
            "id": piece.id,
            "text": piece.token if piece.special else text[piece.start : piece.stop],
            "special": piece.special,
            "start": None if piece.special else places[piece.start],
            "stop": None if piece.special else places[piece.stop],
        }
        for piece in pieces
    ]


async def _answer(rows: Any, asking: Asking) -> Response:
    return _response(await _written(rows), asking)


def _response(body: bytes, asking: Asking) -> Response:
    return Response(body, headers=[(b"content-type", b"application/json"), *_computed(asking.exchange)])


async def _written(rows: Any) -> bytes:
    if len(rows) <= _PIECE:
        return orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY)
    pieces = []
    for start in range(0, len(rows), _PIECE):
        pieces.append(orjson.dumps(rows[start : start + _PIECE], option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
        await asyncio.sleep(0)
    return _joined(pieces)


async def _written_by_tokens(results: Sequence[Result]) -> bytes:
    """Texts of any number of vectors, a few vectors at a time."""
    texts = []
    for result in results:
        texts.append(await _written(np.ascontiguousarray(result)))
        await asyncio.sleep(0)
    return _joined(texts)


def _joined(written: Sequence[bytes]) -> bytes:
    """What is written in parts, as one array."""
    return b"[" + b",".join(written) + b"]"


def _computed(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """What the answer took: characters, tokens, and milliseconds of each stage."""
    job = exchange.job
    total = _milliseconds(time.monotonic() - exchange.started)
    return [
        (b"x-compute-type", b"cpu"),
        (b"x-compute-time", total),
        (b"x-compute-characters", b"%d" % exchange.characters),
        (b"x-compute-tokens", b"%d" % exchange.tokens),
        (b"x-total-time", total),
        (b"x-tokenization-time", _milliseconds(exchange.tokenization)),
        (b"x-queue-time", _milliseconds(job.started - job.entered if job else 0.0)),
        (b"x-inference-time", _milliseconds(job.finished - job.started if job else 0.0)),
    ]


def _milliseconds(seconds: float) -> bytes:
    return b"%d" % (seconds * 1000)
