"""The OpenAPI document, and a server that keeps to it whatever is sent."""

from collections.abc import Callable
from typing import Any

import pytest

from embedrt.server import Server

Ask = Callable[..., Any]


def test_the_document_names_every_route(server: Server, ask: Ask) -> None:
    content = ask(server, "GET", "/openapi.json").json
    assert content == ask(server, "GET", "/api-doc/openapi.json").json
    undocumented = {"/embeddings", "/v2/rerank", "/ping", "/openapi.json", "/api-doc/openapi.json"}  # second names
    assert set(content["paths"]) == (set(server.app._routes) - undocumented) | {"/v1/models/{model}"}
    assert "security" not in content


def test_every_reference_is_there(server: Server, ask: Ask) -> None:
    content = ask(server, "GET", "/openapi.json").json

    def references(node: Any) -> set[str]:
        if isinstance(node, dict):
            found = {node["$ref"]} if "$ref" in node else set()
            return found.union(*map(references, node.values()))
        return set().union(*map(references, node)) if isinstance(node, list) else set()

    named = {f"#/components/schemas/{name}" for name in content["components"]["schemas"]}
    assert references(content) == named


def test_keys_are_documented_where_they_are_asked_for(start: Callable[..., Server], ask: Ask) -> None:
    with start(api_keys=("a",)) as keyed:
        content = ask(keyed, "GET", "/openapi.json").json
    assert content["security"] == [{"key": []}]
    assert content["paths"]["/health"]["get"]["security"] == []


def test_answers_are_as_documented(server: Server, ask: Ask) -> None:
    jsonschema = pytest.importorskip("jsonschema_rs")  # comes with schemathesis
    content = ask(server, "GET", "/openapi.json").json
    asked = {
        "/v1/embeddings": {"model": "tiny", "input": ["a", "b"]},
        "/embed": {"inputs": "a"},
        "/embed_all": {"inputs": ["a", "b"]},
        "/similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}},
        "/tokenize": {"inputs": "a cat"},
        "/decode": {"ids": [16, 17]},
    }
    for path, body in asked.items():
        answer = ask(server, "POST", path, body)
        schema = content["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate({**schema, "components": content["components"]}, answer.json)
    for path in ("/v1/models", "/info"):
        schema = content["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate({**schema, "components": content["components"]}, ask(server, "GET", path).json)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_whatever_is_sent_is_answered_as_documented(server: Server) -> None:
    """schemathesis makes up requests, right and wrong ones, from the document itself."""
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

    schema = schemathesis.openapi.from_url(f"{server.address}/openapi.json")
    checks = [not_a_server_error, status_code_conformance, response_schema_conformance]
    asked = 0
    for operation in (result.ok() for result in schema.get_all_operations()):
        modes = [schemathesis.GenerationMode.POSITIVE]
        if operation.body:  # else there is nothing to be wrong
            modes.append(schemathesis.GenerationMode.NEGATIVE)
        for mode in modes:
            strategy = operation.as_strategy(generation_mode=mode)

            @given(case=strategy)
            @settings(
                max_examples=25, deadline=None, database=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            def send(case: Any) -> None:
                nonlocal asked
                asked += 1
                case.call_and_validate(checks=checks)

            send()
    assert asked > 300
