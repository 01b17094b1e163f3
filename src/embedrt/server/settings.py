"""What a server is told when it starts: models, places, limits; each has a flag and an environment variable in the CLI."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from embedrt.errors import InputError

__all__ = ["Limits", "ModelSource", "ServerSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a client, and all of them together, may ask for."""

    texts: int = 2048
    """Texts of one request."""
    characters: int = 200_000
    """Characters of one text."""
    tokens: int = 300_000
    """Tokens of one request, after texts were cut at the model's length."""
    body: int = 2_000_000
    """Bytes of one body."""
    queue: int = 16_384
    """Texts that wait for a worker."""
    requests: int = 512
    """Requests that are being answered at a time."""
    connections: int = 4096
    """Connections that are open at a time."""
    header_seconds: float = 10.0
    """For a request's line and headers to arrive."""
    body_seconds: float = 30.0
    """For a request's body to arrive."""
    answer_seconds: float = 60.0
    """For a client to take its answer."""

    def __post_init__(self) -> None:
        """Refuse what would refuse everything."""
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            if value <= 0:
                raise InputError(f"the limit of {spec.name} is {value}, expected more than 0")
        if self.texts > self.queue:
            raise InputError(
                f"a request may have {self.texts} texts and the queue holds {self.queue}: it would never take such a request. "
                "Lower --max-texts or raise --max-queue"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """A model to serve."""

    name: str
    """As clients call it."""
    location: str
    """Artifact folder, single .onnx file, or Hub id."""
    variant: str | None = None
    revision: str | None = None
    device: str = "cpu"
    """``cpu``, ``cuda``, ``cuda:N`` or ``auto``."""
    prompts: Mapping[str, str] | None = None
    """Texts to put before texts, by name, beside the artifact's own."""
    default_prompt_name: str | None = None
    """Which prompt is used where a request names none; None: the artifact's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Everything that a server is told."""

    models: tuple[ModelSource, ...]
    """The first one answers where a request names none."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Further names of models: alias to name."""
    host: str = "127.0.0.1"
    port: int = 8080
    """0: any that is free."""
    unix_socket: Path | None = None
    """In place of host and port."""
    threads: int | None = None
    """Workers, and threads that share one text; None: what affinity and CPU quota allow."""
    limits: Limits = Limits()
    truncate: bool = True
    """Whether texts beyond the model's length are cut, where a request does not say."""
    api_keys: tuple[str, ...] = ()
    """Empty: everybody may ask."""
    linger_seconds: float = 0.002
    """How long a text may wait for company while a run is under way."""
    stuck_seconds: float = 60.0
    """A run that takes longer is one that hangs."""
    health_seconds: float = 10.0
    """How old the inference may be that ``/health`` relies on."""
    drain_seconds: float = 30.0
    """For requests under way when the server is told to stop."""
    keep_alive_seconds: float = 75.0
    """How long an idle connection stays open."""
    log_level: str = "info"
    """``info`` logs every request, ``warning`` only what went wrong."""
    log_file: Path | None = None
    """None: standard error."""
    otlp_endpoint: str | None = None
    """Where OpenTelemetry traces go."""

    def __post_init__(self) -> None:
        """Refuse what cannot be served."""
        names = [model.name for model in self.models]
        if not names:
            raise InputError("there is no model to serve: pass an artifact folder")
        if doubled := {name for name in names if names.count(name) > 1}:
            raise InputError(f"two models are called {min(doubled)}: name them, NAME=ARTIFACT")
        for alias, name in self.aliases.items():
            if name not in names:
                raise InputError(f"alias {alias} is for {name}, which is none of the models {', '.join(names)}")
            if alias in names:
                raise InputError(f"alias {alias} is the name of a model already")
        if not all(key.strip() for key in self.api_keys):
            raise InputError("an API key is empty, which everybody has: name one, or pass none to let everybody ask")
