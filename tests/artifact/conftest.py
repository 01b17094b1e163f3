"""A stand-in for the Hub on this machine, and clients of it.

huggingface_hub reads its endpoint and its offline switch when it is imported, so every client is a fresh interpreter.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]
COMMIT = "0123456789abcdef0123456789abcdef01234567"

CLIENT = """
import sys
from embedrt import EmbedrtError, SentenceEncoder

model, revision, variant = sys.argv[1], sys.argv[2] or None, sys.argv[3] or None
try:
    with SentenceEncoder(model, revision=revision, variant=variant, threads=1) as encoder:
        print(encoder.variant, encoder.encode("hello world").tolist())
except EmbedrtError as error:
    print(type(error).__name__, error)
"""


class StandIn(BaseHTTPRequestHandler):
    """``/{organization}/{name}/resolve/{revision}/{file}``, from folders, as the Hub answers it."""

    def __init__(self, hub: "Hub", *arguments: object) -> None:
        self.hub = hub
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        self.hub.log.append((self.command, self.path))
        if self.hub.broken:
            return
        repository, found, rest = self.path.strip("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        path = self.hub.folder / repository / file
        if not found or not (self.hub.folder / repository).is_dir():
            self._refuse("RepoNotFound")
        elif revision not in ("main", "v2", COMMIT):
            self._refuse("RevisionNotFound")
        elif not path.is_file():
            self._refuse("EntryNotFound")
        else:
            self._send(path.read_bytes(), with_body=with_body)

    def _refuse(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        if code == "EntryNotFound":
            self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, content: bytes, *, with_body: bool) -> None:
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """The log is ``hub.log``; nothing goes to stderr."""


class Hub:
    """A stand-in Hub of the folders under ``folder``, and a client with a cache of its own."""

    commit = COMMIT

    def __init__(self, folder: Path, run_python: Run) -> None:
        self.folder = folder / "hub"
        self.cache = folder / "cache"
        self.log: list[tuple[str, str]] = []
        self.broken = False
        """Whether connections are taken and nothing is answered."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(StandIn, self))
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self._run_python = run_python

    def load(
        self, model: str, *, revision: str = "", variant: str = "", offline: bool = False, **environment: str
    ) -> str:
        """What a fresh interpreter prints that loads ``model`` and encodes a text."""
        settings = {
            "HF_ENDPOINT": self.address,
            "HF_HOME": str(self.cache),
            "HF_HUB_OFFLINE": "1" if offline else "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        result = self._run_python(CLIENT, model, revision, variant, **{**settings, **environment})
        assert result.returncode == 0, result.stderr
        return result.stdout

    def asked(self, repository: str, revision: str = "main") -> list[str]:
        """The files of a repository whose content was downloaded, and nothing else must have been asked for."""
        prefix = f"/{repository}/resolve/{revision}/"
        assert all(path.startswith(prefix) for _, path in self.log), self.log
        return sorted(path.removeprefix(prefix) for method, path in self.log if method == "GET")


@pytest.fixture
def hub(tmp_path: Path, run_python: Run) -> Iterator[Hub]:
    made = Hub(tmp_path, run_python)
    serving = threading.Thread(target=partial(made.server.serve_forever, poll_interval=0.01))
    serving.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    serving.join()
