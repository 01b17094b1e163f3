"""The bodies as JSON Schema: as OpenAI, text-embeddings-inference and Cohere publish them, with this server's limits."""

from typing import Any

from embedrt.server.settings import Limits

__all__ = ["array", "reference", "schemas"]

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string", "minLength": 1}
_FLAG: Schema = {"type": "boolean"}
_NUMBER: Schema = {"type": "number"}
_COUNT: Schema = {"type": "integer", "minimum": 0}


def reference(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema, *, least: int = 0, most: int | None = None) -> Schema:
    """An array of ``items``."""
    return (
        {"type": "array", "items": items}
        | ({"minItems": least} if least else {})
        | ({"maxItems": most} if most else {})
    )


def schemas(limits: Limits) -> dict[str, Schema]:
    """Every named schema."""
    return _errors() | _openai(limits) | _tei(limits) | _rerankers(limits)


def _object(required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _items(limits: Limits) -> Schema:
    """A text, several, the token ids of one, or of several."""
    text = _TEXT | {"maxLength": limits.characters}
    ids = array(_COUNT, least=1)
    return {"anyOf": [text, array({"anyOf": [text, ids]}, least=1, most=limits.texts), ids]}


def _errors() -> dict[str, Schema]:
    text: Schema = {"type": "string"}
    error = _object(
        ("message", "type", "param", "code"), message=text, type=text, param=_nullable(text), code=_nullable(text)
    )
    kinds = ["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty", "Unauthorized"]
    return {
        "OpenAIError": _object(("error",), error=error),
        "ErrorResponse": _object(("error", "error_type"), error=text, error_type={"type": "string", "enum": kinds}),
        "CohereError": _object(("message",), message=text),
    }


def _openai(limits: Limits) -> dict[str, Schema]:
    text: Schema = {"type": "string"}
    usage = _object(("prompt_tokens", "total_tokens"), prompt_tokens=_COUNT, total_tokens=_COUNT)
    vector: Schema = {"anyOf": [array(_NUMBER), {"type": "string", "contentEncoding": "base64"}]}
    embedding = _object(("index", "object", "embedding"), index=_COUNT, object={"const": "embedding"}, embedding=vector)
    model = _object(
        ("id", "object", "created", "owned_by"), id=text, object={"const": "model"}, created=_COUNT, owned_by=text
    )
    return {
        "CreateEmbeddingRequest": _object(
            ("input",),
            input=_items(limits),
            model=_nullable(text),
            encoding_format=_nullable({"type": "string", "enum": ["float", "base64"], "default": "float"}),
            dimensions=_nullable({"type": "integer", "minimum": 1}),
            user=_nullable(text),
            prompt_name=_nullable(text),
        ),
        "CreateEmbeddingResponse": _object(
            ("object", "data", "model", "usage"),
            object={"const": "list"},
            data=array(embedding),
            model=text,
            usage=usage,
        ),
        "Model": model,
        "ListModelsResponse": _object(("object", "data"), object={"const": "list"}, data=array(model)),
    }


def _tei(limits: Limits) -> dict[str, Schema]:
    text: Schema = {"type": "string"}
    shaping: dict[str, Schema] = {
        "truncate": _nullable(_FLAG),
        "truncation_direction": {"type": "string", "enum": ["left", "right", "Left", "Right"], "default": "right"},
        "prompt_name": _nullable(text),
    }
    asked = _object(("inputs",), inputs=_items(limits), **shaping)
    texts = array(_TEXT | {"maxLength": limits.characters}, least=1, most=limits.texts)
    source = _object(
        ("source_sentence", "sentences"), source_sentence=_TEXT, sentences=texts | {"maxItems": limits.texts - 1}
    )
    places = {"start": _nullable(_COUNT), "stop": _nullable(_COUNT)}
    token = _object(("id", "text", "special", "start", "stop"), id=_COUNT, text=text, special=_FLAG, **places)
    ids = array(_COUNT, least=1)
    return {
        "EmbedRequest": _object(
            ("inputs",),
            **asked["properties"],
            normalize=_FLAG | {"default": True},
            dimensions=_nullable({"type": "integer", "minimum": 1}),
        ),
        "EmbedResponse": array(array(_NUMBER)),
        "EmbedAllRequest": asked,
        "EmbedAllResponse": array(array(array(_NUMBER))),
        "EmbedSparseRequest": asked,
        "EmbedSparseResponse": array(array(_object(("index", "value"), index=_COUNT, value=_NUMBER))),
        "SimilarityRequest": _object(("inputs",), inputs=source, parameters=_nullable(_object(**shaping))),
        "SimilarityResponse": array(_NUMBER),
        "TokenizeRequest": _object(
            ("inputs",),
            inputs={"anyOf": [_TEXT, texts]},
            add_special_tokens=_FLAG | {"default": True},
            prompt_name=_nullable(text),
        ),
        "TokenizeResponse": array(array(token)),
        "DecodeRequest": _object(
            ("ids",),
            ids={"anyOf": [ids, array(ids, least=1, most=limits.texts)]},
            skip_special_tokens=_FLAG | {"default": True},
        ),
        "DecodeResponse": array(text),
        "Info": _object(("model_id", "model_type", "max_input_length", "max_client_batch_size"), **_info()),
    }


def _info() -> dict[str, Schema]:
    text: Schema = {"type": "string"}
    return {
        "model_id": text,
        "model_sha": _nullable(text),
        "model_dtype": text,
        "served_model_name": text,
        "model_type": {"type": "object"},
        "max_concurrent_requests": _COUNT,
        "max_input_length": _COUNT,
        "max_batch_tokens": _COUNT,
        "max_batch_requests": _nullable(_COUNT),
        "max_client_batch_size": _COUNT,
        "auto_truncate": _FLAG,
        "tokenization_workers": _COUNT,
        "version": text,
        "sha": _nullable(text),
        "docker_label": _nullable(text),
    }


def _rerankers(limits: Limits) -> dict[str, Schema]:
    text: Schema = {"type": "string"}
    texts = array(_TEXT | {"maxLength": limits.characters}, least=1, most=limits.texts)
    query = text | {"maxLength": limits.characters}
    sequence = array(_TEXT, least=1, most=2)
    prediction = _object(("score", "label"), score=_NUMBER, label=text)
    document: Schema = {"anyOf": [_TEXT, _object(("text",), text=_TEXT)]}
    ranked = _object(("index", "relevance_score"), index=_COUNT, relevance_score=_NUMBER)
    return {
        "RerankRequest": _object(
            ("query", "texts"), query=query, texts=texts, truncate=_nullable(_FLAG), raw_scores=_FLAG, return_text=_FLAG
        ),
        "RerankResponse": array(_object(("index", "score"), index=_COUNT, score=_NUMBER, text=text)),
        "PredictRequest": _object(
            ("inputs",),
            inputs={"anyOf": [_TEXT, sequence, array(sequence, least=1)]},
            truncate=_nullable(_FLAG),
            raw_scores=_FLAG,
        ),
        "PredictResponse": {"anyOf": [array(prediction), array(array(prediction))]},
        "CohereRerankRequest": _object(
            ("query", "documents"),
            model=_nullable(text),
            query=query,
            documents=array(document, least=1, most=limits.texts),
            top_n=_nullable({"type": "integer", "minimum": 1}),
            return_documents=_FLAG,
            truncate=_nullable(_FLAG),
        ),
        "CohereRerankResponse": _object(("id", "results"), id=text, results=array(ranked)),
    }
