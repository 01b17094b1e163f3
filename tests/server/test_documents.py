"""docs/serving.md names everything that there is, and what lies in deploy/ is what a system takes."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import typer.main

from embedrt.cli import app
from embedrt.server import Server, dialects
from embedrt.server.refusals import Reason, Refusal

Ask = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def _options() -> list[Any]:
    command: Any = typer.main.get_command(app)
    return [option for option in command.commands["serve"].params if option.name not in ("quiet", "artifacts", "help")]


@pytest.mark.parametrize("option", _options(), ids=lambda option: str(option.name))
def test_every_flag_and_its_variable(option: Any) -> None:
    assert f"`{option.opts[0]}" in DOCUMENT
    for variable in [option.envvar] if isinstance(option.envvar, str) else option.envvar or []:
        assert f"`{variable}`" in DOCUMENT


def test_no_flag_or_variable_that_is_not_there() -> None:
    flags = {name for option in _options() for name in (*option.opts, *option.secondary_opts)}
    rows = DOCUMENT.split("## Flags")[1].split("## How")[0]
    assert set(re.findall(r"--[a-z][a-z-]+", rows)) == flags


def test_defaults_are_those_of_the_flags() -> None:
    rows = DOCUMENT.split("## Flags")[1].split("## How")[0].replace("200 000", "200000").replace("2 000 000", "2000000")
    rows = rows.replace("300 000", "300000").replace("16 384", "16384")
    for option in _options():
        if isinstance(option.default, int | float) and not isinstance(option.default, bool):
            row = next(line for line in rows.splitlines() if f"`{option.opts[0]}" in line)
            assert re.search(rf"(?<!\d){round(option.default)}(?!\d)", row), row


def test_every_metric(server: Server, ask: Ask) -> None:
    text = ask(server, "GET", "/metrics").body.decode()
    names = re.findall(r"^# TYPE (embedrt_\w+) (\w+)$", text, re.MULTILINE)
    assert len(names) > 10
    for name, _kind in names:
        if not name.endswith("_created"):
            assert f"`{name}`" in DOCUMENT, name


@pytest.mark.parametrize("reason", get_args(Reason))
def test_every_reason_and_status(reason: Reason) -> None:
    refusal = Refusal(reason, "why")
    assert f"`{reason}`" in DOCUMENT  # as a label of embedrt_errors_total
    for dialect in (dialects.openai, dialects.tei, dialects.cohere):
        status = dialect(refusal).status
        assert re.search(rf"\| .*{status}", DOCUMENT), (reason, status)


def test_every_route(server: Server) -> None:
    listed = DOCUMENT.split("## Routes")[1].split("## Statuses")[0]
    for path in server.app._routes:
        assert f"{path}`" in listed, path


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("keys", [False, True])
def test_the_systemd_unit(tmp_path: Path, keys: bool) -> None:
    unit = (ROOT / "deploy" / "embedrt.service").read_text(encoding="utf-8")
    if keys:
        unit, lines = re.subn(
            r"^#(LoadCredential=keys:|Environment=EMBEDRT_API_KEY_FILE=%d/keys)", r"\1", unit, flags=re.M
        )
        assert lines == 2
    assert "ExecStart=/opt/embedrt/bin/embedrt serve" in unit
    program = tmp_path / "embedrt"  # what is not installed cannot be verified: any program stands for it
    program.symlink_to("/bin/true")
    (tmp_path / "embedrt.service").write_text(unit.replace("/opt/embedrt/bin/embedrt", str(program)), encoding="utf-8")
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "embedrt.service")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    complaints = [line for line in result.stderr.splitlines() if "embedrt" in line]
    assert (complaints, result.returncode) == ([], 0)


def test_the_dockerfile() -> None:
    lines = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    commands = [line.split(maxsplit=1) for line in lines if re.match(r"[A-Z]+ ", line)]
    last_stage = commands[max(index for index, (name, _) in enumerate(commands) if name == "FROM") :]
    names = [name for name, _ in last_stage]
    assert dict(last_stage)["FROM"].endswith("-slim")
    assert dict(last_stage)["USER"] == "10001"
    assert names.index("USER") < names.index("ENTRYPOINT")
    variables = {option.envvar for option in _options()}
    assert set(re.findall(r"EMBEDRT_[A-Z_]+", "\n".join(lines))) <= variables
