"""``embedrt serve``: what is typed, what the environment says, and what is refused before anything is loaded."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")

import embedrt.server
from embedrt.server import Limits, ModelSource, ServerSettings

Run = Callable[..., Any]
Refused = Callable[[Any, int, str], None]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ServerSettings]:
    """The settings that servers were started with; none is started."""
    found: list[ServerSettings] = []
    monkeypatch.setattr(embedrt.server, "serve", lambda settings, listening: found.append(settings))
    return found


def test_defaults_are_those_of_the_settings(run: Run, asked: list[ServerSettings], tiny: Path) -> None:
    ended = run("serve", tiny)
    assert ended == (0, "", "")
    assert asked == [ServerSettings(models=(ModelSource(name=tiny.name, location=str(tiny)),))]


def test_every_option(run: Run, asked: list[ServerSettings], tiny: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("from-file\n", encoding="utf-8")
    ended = run(
        "serve", f"a={tiny}", f"b={tiny}", "--alias", "c=a", "--variant", "fp32", "--device", "cuda:1",
        "--host", "0.0.0.0", "--port", "9", "--unix-socket", "s", "--threads", "3",
        "--api-key", "typed", "--api-key-file", keys, "--max-texts", "10",
        "--max-characters", "11", "--max-tokens", "12", "--max-body", "13", "--max-queue", "14", "--max-requests", "15",
        "--max-connections", "16", "--header-seconds", "1.5", "--body-seconds", "2.5", "--no-truncate", "--max-wait-ms", "4",
        "--stuck-seconds", "5", "--health-seconds", "6", "--drain-seconds", "7", "--keep-alive-seconds", "8",
        "--log-level", "error", "--log-file", "l", "--otlp-endpoint", "http://o/v1/traces", "--quiet",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    given: dict[str, Any] = {"location": str(tiny), "variant": "fp32", "device": "cuda:1"}
    sources = tuple(ModelSource(name=name, **given) for name in ("a", "b"))
    assert asked == [
        ServerSettings(
            models=sources, aliases={"c": "a"}, host="0.0.0.0", port=9, unix_socket=Path("s"), threads=3,
            limits=Limits(
                texts=10, characters=11, tokens=12, body=13, queue=14, requests=15, connections=16,
                header_seconds=1.5, body_seconds=2.5,
            ),
            truncate=False, api_keys=("typed", "from-file"), linger_seconds=0.004, stuck_seconds=5, health_seconds=6,
            drain_seconds=7, keep_alive_seconds=8, log_level="error", log_file=Path("l"), otlp_endpoint="http://o/v1/traces",
        )
    ]  # fmt: skip


def test_the_environment(
    run: Run, asked: list[ServerSettings], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {
        "ARTIFACTS": f"a={tiny} b={tiny}", "ALIASES": "c=a", "VARIANT": "fp32", "DEVICE": "cuda:1", "HOST": "::1", "PORT": "9",
        "THREADS": "3",
        "API_KEYS": "one two", "MAX_TEXTS": "10", "MAX_CHARACTERS": "11", "MAX_TOKENS": "12", "MAX_BODY": "13",
        "MAX_QUEUE": "14", "MAX_REQUESTS": "15", "MAX_CONNECTIONS": "16", "HEADER_SECONDS": "1.5", "BODY_SECONDS": "2.5",
        "TRUNCATE": "false", "MAX_WAIT_MS": "4", "STUCK_SECONDS": "5", "HEALTH_SECONDS": "6", "DRAIN_SECONDS": "7",
        "KEEP_ALIVE_SECONDS": "8", "LOG_LEVEL": "error", "LOG_FILE": "l", "OTLP_ENDPOINT": "http://o", "UNIX_SOCKET": "s",
    }  # fmt: skip
    for name, value in said.items():
        monkeypatch.setenv(f"EMBEDRT_{name}", value)
    assert run("serve", "--port", "10").code == 0  # what is typed goes first
    given: dict[str, Any] = {"location": str(tiny), "variant": "fp32", "device": "cuda:1"}
    sources = tuple(ModelSource(name=name, **given) for name in ("a", "b"))
    assert asked == [
        ServerSettings(
            models=sources, aliases={"c": "a"}, host="::1", port=10, unix_socket=Path("s"), threads=3,
            limits=Limits(
                texts=10, characters=11, tokens=12, body=13, queue=14, requests=15, connections=16,
                header_seconds=1.5, body_seconds=2.5,
            ),
            truncate=False, api_keys=("one", "two"), linger_seconds=0.004, stuck_seconds=5, health_seconds=6,
            drain_seconds=7, keep_alive_seconds=8, log_level="error", log_file=Path("l"), otlp_endpoint="http://o",
        )
    ]  # fmt: skip


def test_prompts(run: Run, asked: list[ServerSettings], tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("serve", tiny, "--prompt", "q=query: ", "--prompt", "d=passage: ", "--default-prompt", "q").code == 0
    monkeypatch.setenv("EMBEDRT_PROMPTS", "q=query: \nd=passage: ")
    monkeypatch.setenv("EMBEDRT_DEFAULT_PROMPT", "q")
    assert run("serve", tiny).code == 0
    given: dict[str, Any] = {"prompts": {"q": "query: ", "d": "passage: "}, "default_prompt_name": "q"}
    assert [settings.models for settings in asked] == [
        (ModelSource(name=tiny.name, location=str(tiny), **given),),
    ] * 2


def test_a_folder_of_models(run: Run, asked: list[ServerSettings], tiny: Path) -> None:
    assert run("serve", "--models-folder", tiny.parent).code == 0
    assert [source.name for source in asked[0].models] == [tiny.name]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "there is no model to serve: pass an artifact folder"),
        (("/gone/model",), 1, "there is no folder or .onnx file at /gone/model"),
        (("a", "--alias", "b"), 2, "--alias is 'b', expected ALIAS=NAME"),
        (("a", "--alias", "b=c"), 2, "alias b is for c, which is none of the models a"),
        (("a", "--max-texts", "9", "--max-queue", "8"), 2, "a request may have 9 texts and the queue holds 8"),
        (("a", "--body-seconds", "0"), 2, "the limit of body_seconds is 0"),
        (("a", "--api-key-file", "/gone"), 2, "the API keys in /gone cannot be read"),
        (("a", "--prompt", "query: "), 2, "--prompt is 'query: ', expected NAME=TEXT"),
        (
            ("a", "b", "--default-prompt", "q"),
            2,
            "--prompt and --default-prompt are for one model, and 2 are to be served",
        ),
        (("a", "--api-key", ""), 2, "an API key is empty, which everybody has: name one"),
        (("a", "--api-key", "b", "--api-key", " "), 2, "an API key is empty, which everybody has: name one"),
    ],
)
def test_refused(run: Run, assert_refused: Refused, arguments: tuple[str, ...], code: int, message: str) -> None:
    assert_refused(run("serve", *arguments), code, message)


@pytest.mark.parametrize("name", ["EMBEDRT_API_KEYS", "EMBEDRT_API_KEY_FILE"])
def test_a_variable_of_keys_that_is_empty_opens_no_server(
    run: Run,
    asked: list[ServerSettings],
    tiny: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_refused: Refused,
    name: str,
) -> None:
    monkeypatch.setenv(name, "")
    assert_refused(run("serve", tiny), 2, f"{name} is set and empty, expected API keys: name some, or unset it")
    assert run("serve", tiny, "--api-key", "typed").code == 0  # what is typed goes first
    assert [settings.api_keys for settings in asked] == [("typed",)]


def test_the_extra_is_not_installed(
    run: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch, assert_refused: Refused
) -> None:
    find = importlib.util.find_spec
    missing = ("uvicorn", "orjson")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find(name))
    message = 'uvicorn, orjson not installed: type pip install "embedrt[cpu,serve]"'
    assert_refused(run("serve", tiny), 1, message)
