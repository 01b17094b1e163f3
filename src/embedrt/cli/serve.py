"""``embedrt serve ARTIFACT …``: encoders over HTTP.

Every option is an environment variable too: ``--max-texts`` is ``EMBEDRT_MAX_TEXTS``. What is typed goes first.
"""

import dataclasses
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from embedrt.cli.options import DefaultPrompt, GivenPrompts, Quiet, Revision, named_prompts
from embedrt.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from embedrt.server import ModelSource

__all__ = ["serve"]

_NEEDED = ("uvicorn", "httptools", "orjson", "prometheus_client")
_KEYS = ("API_KEYS", "API_KEY_FILE")
_LIMITS = "Limits"
_OPERATION = "Operation"


def _env(name: str) -> str:
    return f"EMBEDRT_{name}"


def serve(
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=]ARTIFACT …", help="Artifact folders, .onnx files or Hub ids; several are served by name."),
    ] = None,
    models_folder: Annotated[
        Path | None, typer.Option(envvar=_env("MODELS_FOLDER"), help="Serve every artifact in a folder of this folder.")
    ] = None,
    alias: Annotated[
        list[str] | None, typer.Option(metavar="ALIAS=NAME", help="A further name of a model. Several times.")
    ] = None,
    variant: Annotated[
        str | None, typer.Option(envvar=_env("VARIANT"), help="A variant of each artifact; without it, the manifest's default.")
    ] = None,
    revision: Revision = None,
    device: Annotated[str, typer.Option(envvar=_env("DEVICE"), help="cpu, cuda, cuda:N or auto.")] = "cpu",
    prompt: GivenPrompts = None,
    default_prompt: DefaultPrompt = None,
    host: Annotated[str, typer.Option(envvar=_env("HOST"), help="Address to listen on; 0.0.0.0: all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar=_env("PORT"), min=0, max=65535, help="0: any that is free.")] = 8080,
    unix_socket: Annotated[
        Path | None, typer.Option(envvar=_env("UNIX_SOCKET"), help="Listen on a Unix socket instead.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(envvar=_env("THREADS"), min=1, help="Workers; without it, as many as affinity and CPU quota allow."),
    ] = None,
    api_key: Annotated[
        list[str] | None, typer.Option(help="Ask for this key. Several times. Others see it in the list of processes.")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(envvar=_env(_KEYS[1]), help="Ask for one of the keys in this file, one a line.")
    ] = None,
    max_texts: Annotated[
        int, typer.Option(envvar=_env("MAX_TEXTS"), min=1, help="Texts of a request.", rich_help_panel=_LIMITS)
    ] = 2048,
    max_characters: Annotated[
        int, typer.Option(envvar=_env("MAX_CHARACTERS"), min=1, help="Characters of a text.", rich_help_panel=_LIMITS)
    ] = 200_000,
    max_tokens: Annotated[
        int, typer.Option(envvar=_env("MAX_TOKENS"), min=1, help="Tokens of a request.", rich_help_panel=_LIMITS)
    ] = 300_000,
    max_body: Annotated[
        int, typer.Option(envvar=_env("MAX_BODY"), min=1, help="Bytes of a body.", rich_help_panel=_LIMITS)
    ] = 2_000_000,
    max_queue: Annotated[
        int, typer.Option(envvar=_env("MAX_QUEUE"), min=1, help="Texts that wait.", rich_help_panel=_LIMITS)
    ] = 16_384,
    max_requests: Annotated[
        int, typer.Option(envvar=_env("MAX_REQUESTS"), min=1, help="Requests at a time.", rich_help_panel=_LIMITS)
    ] = 512,
    max_connections: Annotated[
        int, typer.Option(envvar=_env("MAX_CONNECTIONS"), min=1, help="Open connections.", rich_help_panel=_LIMITS)
    ] = 4096,
    header_seconds: Annotated[
        float, typer.Option(envvar=_env("HEADER_SECONDS"), help="For headers to arrive.", rich_help_panel=_LIMITS)
    ] = 10.0,
    body_seconds: Annotated[
        float, typer.Option(envvar=_env("BODY_SECONDS"), help="For a body to arrive.", rich_help_panel=_LIMITS)
    ] = 30.0,
    answer_seconds: Annotated[
        float, typer.Option(envvar=_env("ANSWER_SECONDS"), help="For an answer to be taken.", rich_help_panel=_LIMITS)
    ] = 60.0,
    truncate: Annotated[
        bool,
        typer.Option(
            "--truncate/--no-truncate", envvar=_env("TRUNCATE"),
            help="Cut texts that are too long, or refuse them, where a request does not say.", rich_help_panel=_LIMITS,
        ),
    ] = True,
    max_wait_ms: Annotated[
        float,
        typer.Option(
            envvar=_env("MAX_WAIT_MS"), min=0, rich_help_panel=_OPERATION,
            help="How long a text may wait for company while others run; when nothing runs, none does.",
        ),
    ] = 2.0,
    stuck_seconds: Annotated[
        float,
        typer.Option(envvar=_env("STUCK_SECONDS"), help="A run that is longer hangs.", rich_help_panel=_OPERATION),
    ] = 60.0,
    health_seconds: Annotated[
        float,
        typer.Option(
            envvar=_env("HEALTH_SECONDS"), help="Age of an inference that /health relies on.", rich_help_panel=_OPERATION
        ),
    ] = 10.0,
    drain_seconds: Annotated[
        float,
        typer.Option(envvar=_env("DRAIN_SECONDS"), help="For requests under way at SIGTERM.", rich_help_panel=_OPERATION),
    ] = 30.0,
    keep_alive_seconds: Annotated[
        float,
        typer.Option(
            envvar=_env("KEEP_ALIVE_SECONDS"), help="How long an idle connection stays open.", rich_help_panel=_OPERATION
        ),
    ] = 75.0,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        typer.Option(envvar=_env("LOG_LEVEL"), help="info: every request.", rich_help_panel=_OPERATION),
    ] = "info",
    log_file: Annotated[
        Path | None,
        typer.Option(envvar=_env("LOG_FILE"), help="Append to a file, not to stderr.", rich_help_panel=_OPERATION),
    ] = None,
    otlp_endpoint: Annotated[
        str | None,
        typer.Option(
            envvar=_env("OTLP_ENDPOINT"), rich_help_panel=_OPERATION,
            help="Send OpenTelemetry traces there: http://HOST:4318/v1/traces. Needs the extra otel.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Serve artifacts over HTTP: OpenAI's and text-embeddings-inference's routes, without PyTorch."""
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise MissingDependencyError(f'{", ".join(missing)} not installed: type pip install "embedrt[cpu,serve]"')
    from embedrt.server import Limits, Server, ServerSettings
    from embedrt.server import serve as run

    settings = ServerSettings(
        models=_on_device(
            _sources(artifacts or [], models_folder, variant, revision),
            device,
            prompts=named_prompts(prompt or os.environ.get(_env("PROMPTS"), "").splitlines()) or None,
            default_prompt=default_prompt or os.environ.get(_env("DEFAULT_PROMPT")),
        ),
        aliases=_aliases(alias or _listed("ALIASES")),
        host=host,
        port=port,
        unix_socket=unix_socket,
        threads=threads,
        limits=Limits(
            texts=max_texts, characters=max_characters, tokens=max_tokens, body=max_body, queue=max_queue,
            requests=max_requests, connections=max_connections, header_seconds=header_seconds, body_seconds=body_seconds,
            answer_seconds=answer_seconds,
        ),
        truncate=truncate,
        api_keys=_keys(api_key or _listed(_KEYS[0]), api_key_file),
        linger_seconds=max_wait_ms / 1e3,
        stuck_seconds=stuck_seconds,
        health_seconds=health_seconds,
        drain_seconds=drain_seconds,
        keep_alive_seconds=keep_alive_seconds,
        log_level=log_level,
        log_file=log_file,
        otlp_endpoint=otlp_endpoint,
    )  # fmt: skip

    def say(server: Server) -> None:
        if not quiet:
            typer.echo(f"{', '.join(server.registry.models)} at {server.address}", err=True)

    run(settings, listening=say)


def _sources(
    artifacts: list[str], folder: Path | None, variant: str | None, revision: str | None
) -> "tuple[ModelSource, ...]":
    from embedrt.server.registry import model_source, sources_in

    wanted = artifacts or _listed("ARTIFACTS")
    named = [model_source(text, variant=variant, revision=revision) for text in wanted]
    if folder is not None:
        named += sources_in(folder, variant=variant)
    return tuple(named)


def _on_device(
    sources: "tuple[ModelSource, ...]", device: str, *, prompts: dict[str, str] | None, default_prompt: str | None
) -> "tuple[ModelSource, ...]":
    if len(sources) > 1 and (prompts or default_prompt is not None):
        raise InputError(
            f"--prompt and --default-prompt are for one model, and {len(sources)} are to be served: "
            "export each with prompts of its own"
        )
    return tuple(
        dataclasses.replace(source, device=device, prompts=prompts, default_prompt_name=default_prompt)
        for source in sources
    )


def _aliases(wanted: list[str]) -> dict[str, str]:
    aliases = {}
    for text in wanted:
        alias, separator, name = text.partition("=")
        if not (alias and separator and name):
            raise InputError(f"--alias is {text!r}, expected ALIAS=NAME")
        aliases[alias] = name
    return aliases


def _keys(typed: list[str], file: Path | None) -> tuple[str, ...]:
    from embedrt.server.keys import keys_in

    keys = (*typed, *(keys_in(file) if file is not None else ()))
    if not keys and (empty := [name for name in map(_env, _KEYS) if name in os.environ]):
        raise InputError(f"{empty[0]} is set and empty, expected API keys: name some, or unset it to let everybody ask")
    return keys


def _listed(name: str) -> list[str]:
    """What an environment variable lists, with spaces between."""
    return os.environ.get(_env(name), "").split()
