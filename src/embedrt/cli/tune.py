"""``embedrt tune MODEL``: measure how its variants run best on this machine, and keep that for encoders to come."""

import dataclasses
import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.table import Column, Table
from rich.text import Text

from embedrt.artifact.folder import Artifact, locate, open_tokenizer
from embedrt.cli.options import Device, Json, Model, Quiet, Revision, TextField
from embedrt.cli.tables import table_console
from embedrt.corpus.reading import read_texts
from embedrt.errors import InputError, ManifestError
from embedrt.inference.layout import prepare_tuned, tuned_path, write_tuned
from embedrt.inference.session import parse_device, runtime_version
from embedrt.progress import progress
from embedrt.tuning import Candidate, Tuned
from embedrt.tuning import tune as try_layouts

__all__ = ["tune"]


def tune(
    model: Model,
    variant: Annotated[list[str] | None, typer.Option(help="Which to measure; all of them without it.")] = None,
    device: Device = "cpu",
    seconds: Annotated[float, typer.Option(min=1, help="Time for all of it; large models need longer.")] = 45.0,
    texts: Annotated[
        Path | None, typer.Option(help="A file of texts like yours; without it, lengths of queries and sentences.")
    ] = None,
    text_field: TextField = "text",
    forget: Annotated[bool, typer.Option("--forget", help="Measure nothing, and go back to the defaults.")] = False,
    revision: Revision = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure threads, workers and tokens a run here; encoders on this machine use what is best from then on.

    It is kept in the folder EMBEDRT_CACHE, else in ~/.cache/embedrt.
    """
    artifacts = [_artifact(model, name, revision) for name in _variants(model, variant, revision)]
    if forget:
        for artifact in artifacts:
            _kept_at(artifact, device).unlink(missing_ok=True)
        return
    prepare_tuned(_kept_at(artifacts[0], device))
    lengths = _lengths(texts, text_field, artifacts[0].tokenizer) if texts is not None else None
    found: dict[str, Tuned] = {}
    with progress(round(seconds), shown=not quiet and sys.stderr.isatty(), doing="Measuring", unit="s") as advance:
        for artifact in artifacts:
            name = str(artifact.variant)
            share = seconds / len(artifacts)
            found[name] = try_layouts(
                model, name, device=device, seconds=share, lengths=lengths, advance=advance, revision=revision
            )
            write_tuned(_kept_at(artifact, device), found[name].layout)
    _report(found, _kept_at(artifacts[0], device).parent, json=json)


def _artifact(model: str, variant: str | None, revision: str | None) -> Artifact:
    artifact = locate(model, variant=variant, revision=revision)
    if artifact.manifest is None:
        raise ManifestError(
            f"{model} has no embedrt.json: only artifacts that embedrt exported can be tuned, pass their folder"
        )
    return artifact


def _variants(model: str, wanted: list[str] | None, revision: str | None) -> list[str]:
    manifest = _artifact(model, None, revision).manifest
    assert manifest is not None  # noqa: S101  _artifact saw to it
    return list(dict.fromkeys(wanted)) if wanted else list(manifest.variants)


def _kept_at(artifact: Artifact, device: str) -> Path:
    return tuned_path(str(artifact.graph_sha256), runtime_version(), device=parse_device(device))


def _lengths(texts: Path, text_field: str, tokenizer: Path) -> npt.NDArray[np.int64]:
    read = read_texts(str(texts), text_field=text_field)
    if not read:
        raise InputError(f"{texts} holds no text: pass a file with some hundreds of texts like yours")
    return open_tokenizer(tokenizer).encode(read).lengths


def _report(found: dict[str, Tuned], folder: Path, *, json: bool) -> None:
    if json:
        content = {name: _plain(tuned) for name, tuned in found.items()}
        typer.echo(json_module.dumps(content, indent=2))
        return
    console = table_console()
    for name, tuned in found.items():
        console.print(_table(name, tuned))
    quickest = min(found, key=lambda name: _kept(found[name].latency, found[name]).best)
    busiest = min(found, key=lambda name: _kept(found[name].throughput, found[name]).best)
    if len(found) > 1:
        console.print(f"Fastest here: {quickest} for one text, {busiest} for a corpus. The variant stays your choice.")
    console.print(Text(f"Kept in {folder}: encoders on this machine use it from now on; --forget undoes it."))


def _table(name: str, tuned: Tuned) -> Table:
    table = Table("", "layout", Column("measured", no_wrap=True), "", title=name, title_justify="left")
    for candidates in (tuned.latency, tuned.throughput):
        best = _kept(candidates, tuned)
        for candidate in candidates:
            remark = ["default"] * (candidate is candidates[0]) + ["← kept"] * (candidate is best)
            table.add_row(*_row(candidate, one_text=candidates is tuned.latency), " ".join(remark))
        table.add_section()
    return table


def _row(candidate: Candidate, *, one_text: bool) -> tuple[str, str, str]:
    layout = candidate.layout
    if one_text:
        return "one text, 16 tokens", f"threads {layout.latency_threads}", f"{1e3 * candidate.best:.2f} ms"
    shape = f"workers {layout.workers}, {layout.token_budget} tokens a run" + ", fusions" * layout.fusions
    return "corpus", shape, f"{1e3 / candidate.best:,.0f} tokens/s"


def _kept(candidates: tuple[Candidate, ...], tuned: Tuned) -> Candidate:
    """The candidate that went into the layout."""
    one_text = candidates is tuned.latency
    for candidate in candidates:
        there, kept = candidate.layout, tuned.layout
        if there.latency_threads == kept.latency_threads if one_text else _bulk(there) == _bulk(kept):
            return candidate
    raise AssertionError("unreachable")


def _bulk(layout: Any) -> tuple[int, int, bool]:
    return layout.workers, layout.token_budget, layout.fusions


def _plain(tuned: Tuned) -> dict[str, Any]:
    return {
        "layout": dataclasses.asdict(tuned.layout),
        "one_text_milliseconds": [
            {**dataclasses.asdict(one.layout), "measured": 1e3 * one.best} for one in tuned.latency
        ],
        "corpus_tokens_per_second": [
            {**dataclasses.asdict(one.layout), "measured": 1e3 / one.best} for one in tuned.throughput
        ],
    }
