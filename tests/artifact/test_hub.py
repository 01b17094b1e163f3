"""Models by Hub id, against a stand-in for the Hub on this machine: what is asked for, and what is told when it is not there.

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

from embedrt.artifact.hub import is_hub_id

Write = Callable[..., Path]
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


def _vector(printed: str) -> list[float]:
    return [float(value) for value in printed[printed.index("[") + 1 : printed.index("]")].split(",")]


def test_only_the_files_of_the_variant_are_downloaded(
    hub: Hub, write_artifact: Write, reference: Callable[..., list[list[float]]]
) -> None:
    folder = write_artifact(hub.folder / "tests" / "tiny", variants={"fp32": {}, "int8": {"seed": 1}})
    (folder / "model.safetensors").write_bytes(b"large")
    printed = hub.load("tests/tiny")
    assert printed.startswith("fp32 ")
    assert _vector(printed) == pytest.approx(reference(folder, ["hello world"])[0], rel=1e-5, abs=1e-6)
    assert hub.asked("tests/tiny") == ["embedrt.json", "onnx/model.onnx", "tokenizer.json"]
    hub.log.clear()
    printed = hub.load("tests/tiny", variant="int8")
    assert _vector(printed) == pytest.approx(reference(folder, ["hello world"], seed=1)[0], rel=1e-5, abs=1e-6)
    assert hub.asked("tests/tiny") == ["onnx/model_int8.onnx"]  # the rest is in the cache


def test_the_revision_is_passed_on(hub: Hub, write_artifact: Write) -> None:
    write_artifact(hub.folder / "tests" / "tiny")
    assert hub.load("tests/tiny", revision="v2").startswith("fp32 ")
    assert hub.asked("tests/tiny", "v2") == ["embedrt.json", "onnx/model.onnx", "tokenizer.json"]


def test_the_second_time_no_hub_is_needed(hub: Hub, write_artifact: Write) -> None:
    write_artifact(hub.folder / "tests" / "tiny")
    online = hub.load("tests/tiny")
    hub.log.clear()
    assert hub.load("tests/tiny", offline=True) == online
    assert hub.log == []


def _unreachable(hub: Hub, why: str) -> dict[str, str]:
    """Environment of a client that gets no answer."""
    hub.broken = why == "connections break"
    if hub.broken:
        return {}
    proxy = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), hub.address)  # which refuses, for it knows no CONNECT
    return {"HF_ENDPOINT": "https://hub.invalid", **proxy}


@pytest.mark.parametrize("why", ["a proxy refuses", "connections break"])
def test_what_is_in_the_cache_needs_no_hub_that_answers(hub: Hub, write_artifact: Write, why: str) -> None:
    write_artifact(hub.folder / "tests" / "tiny")
    online = hub.load("tests/tiny")
    assert hub.load("tests/tiny", **_unreachable(hub, why)) == online


@pytest.mark.parametrize("why", ["a proxy refuses", "connections break"])
def test_a_hub_that_does_not_answer_is_told(hub: Hub, write_artifact: Write, why: str) -> None:
    write_artifact(hub.folder / "tests" / "tiny")
    printed = hub.load("tests/tiny", **_unreachable(hub, why))
    assert printed.startswith(
        "ArtifactNotFoundError there is no folder 'tests/tiny' here, and the Hub could not be asked for embedrt.json"
    )
    assert len(hub.log) <= 2  # not once for each file


@pytest.mark.parametrize("offline", [False, True])
def test_a_name_without_an_organization_tells_how_to_export(hub: Hub, offline: bool) -> None:
    printed = hub.load("all-MiniLM-L6-v2", offline=offline)
    assert printed.startswith("ArtifactNotFoundError there is no folder 'all-MiniLM-L6-v2' here, and the Hub ")
    assert printed.endswith(
        ". If it is sentence-transformers/all-MiniLM-L6-v2, "
        "type: embedrt export sentence-transformers/all-MiniLM-L6-v2 OUT, and load OUT\n"
    )


def _foreign_repository(hub: Hub, write_graph: Write, write_tokenizer: Write) -> Path:
    folder = hub.folder / "tests" / "foreign"
    write_graph(folder / "onnx" / "model.onnx")
    write_tokenizer(folder)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 3}', encoding="utf-8")
    return folder


def test_a_repository_of_other_makers(
    hub: Hub, write_graph: Write, write_tokenizer: Write, reference: Callable[..., list[list[float]]]
) -> None:
    folder = _foreign_repository(hub, write_graph, write_tokenizer)
    online = hub.load("tests/foreign")
    assert online.startswith("None ")
    assert _vector(online) == pytest.approx(reference(folder, ["hello"])[0], rel=1e-5, abs=1e-6)  # cut at 3 tokens
    files = ["config.json", "onnx/model.onnx", "sentence_bert_config.json", "tokenizer.json"]
    assert hub.asked("tests/foreign") == files


@pytest.mark.parametrize("revision", ["", COMMIT])
def test_a_repository_of_other_makers_needs_no_hub_the_second_time(
    hub: Hub, write_graph: Write, write_tokenizer: Write, revision: str
) -> None:
    _foreign_repository(hub, write_graph, write_tokenizer)
    online = hub.load("tests/foreign", revision=revision)
    hub.log.clear()
    assert hub.load("tests/foreign", revision=revision, offline=True) == online
    assert hub.log == []


def test_a_pytorch_checkpoint_tells_how_to_export(hub: Hub) -> None:
    folder = hub.folder / "tests" / "checkpoint"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"large")
    printed = hub.load("tests/checkpoint")
    assert printed.startswith("ArtifactNotFoundError the Hub repository 'tests/checkpoint' has no onnx/model.onnx.")
    assert "type: embedrt export tests/checkpoint OUT, and load OUT" in printed
    assert hub.asked("tests/checkpoint") == []


def test_a_graph_without_a_tokenizer_is_named(hub: Hub, write_graph: Write) -> None:
    write_graph(hub.folder / "tests" / "bare" / "onnx" / "model.onnx")
    printed = hub.load("tests/bare")
    assert printed.startswith("ArtifactNotFoundError the Hub repository 'tests/bare' has no tokenizer.json.")


def test_a_missing_repository_is_named(hub: Hub) -> None:
    printed = hub.load("tests/missing")
    assert printed.startswith(
        "ArtifactNotFoundError there is no folder 'tests/missing' here, and the Hub gave no embedrt.json"
    )


def test_a_missing_revision_is_named(hub: Hub, write_artifact: Write) -> None:
    write_artifact(hub.folder / "tests" / "tiny")
    printed = hub.load("tests/tiny", revision="v3")
    assert printed.startswith(
        "ArtifactNotFoundError there is no folder 'tests/tiny' here, and the Hub gave no embedrt.json"
    )
    assert "v3" in printed


def test_what_was_never_downloaded_needs_the_hub(hub: Hub, write_artifact: Write) -> None:
    write_artifact(hub.folder / "tests" / "tiny")
    printed = hub.load("tests/tiny", offline=True)
    assert printed.startswith(
        "ArtifactNotFoundError there is no folder 'tests/tiny' here, and the Hub could not be asked for embedrt.json"
    )
    assert hub.log == []


def test_a_damaged_download_is_named(hub: Hub, write_artifact: Write) -> None:
    folder = write_artifact(hub.folder / "tests" / "tiny")
    graph = folder / "onnx" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    printed = hub.load("tests/tiny")
    assert printed.startswith("IntegrityError ")
    assert "the manifest names" in printed


def test_a_folder_goes_before_the_hub(
    hub: Hub, tmp_path: Path, write_artifact: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_artifact(tmp_path / "tests" / "tiny")
    monkeypatch.chdir(tmp_path)
    assert hub.load("tests/tiny").startswith("fp32 ")
    assert hub.log == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name", True),
        ("organization/name-v1.5_x", True),
        ("0rg/name", True),
        ("", False),
        ("./name", False),
        ("../name", False),
        ("/name", False),
        ("~/name", False),
        (".hidden", False),
        ("a/b/c", False),
        ("a/", False),
        ("a b", False),
        ("C:\\models", False),
        ("model.onnx", False),
        ("out/model.onnx", False),
        ("name\n", False),
    ],
)
def test_what_can_be_a_hub_id(text: str, expected: bool) -> None:
    assert is_hub_id(text) is expected
