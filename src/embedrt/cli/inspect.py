"""``embedrt inspect MODEL``: what an artifact is, its variants, and how faithful each is."""

import dataclasses
import json as json_module

import typer
from rich.table import Column, Table
from rich.text import Text

from embedrt.artifact.folder import locate
from embedrt.artifact.kinds import Reranking
from embedrt.artifact.manifest import Manifest, Serving
from embedrt.cli.options import Json, Model, Revision
from embedrt.cli.tables import table_console
from embedrt.errors import ManifestError

__all__ = ["inspect"]
_NARROWEST = 72
"""Columns below which numbers of the table of variants would be cut."""


def inspect(model: Model, revision: Revision = None, json: Json = False) -> None:
    """Show what an artifact is: source, limits, prompts, variants with their fidelity."""
    manifest = locate(model, revision=revision).manifest
    if manifest is None:
        raise ManifestError(
            f"{model} has no embedrt.json: only artifacts that embedrt exported describe themselves, pass their folder"
        )
    if json:
        typer.echo(json_module.dumps(dataclasses.asdict(manifest), indent=2, ensure_ascii=False))
        return
    console = table_console(narrowest=_NARROWEST)
    console.print(_facts(manifest))
    console.print(_variants(manifest))
    for name, variant in manifest.variants.items():
        if measures := variant.parity.measures:
            shown = ", ".join(f"{measure} {value:.4f}" for measure, value in measures.items())
            console.print(Text(f"{name}: {shown}"))


def _facts(manifest: Manifest) -> Table:
    serving, source = manifest.serving, manifest.source
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rows = {
        "source": source.model + (f" @ {source.revision}" if source.revision else ""),
        "kind": serving.kind,
        **(_of_vectors(serving) if serving.reranking is None else _of_scores(serving, serving.reranking)),
        "max_seq_length": f"{serving.max_seq_length} tokens" if serving.max_seq_length else "no limit",
        "prompts": ", ".join(f"{name}: {text!r}" for name, text in serving.prompts.items() if text) or "none",
        "exported with": ", ".join(f"{name} {version}" for name, version in source.libraries.items()),
        "default variant": f"{manifest.default_variant} ({_why(manifest)})",
    }
    if source.derivation is not None:
        rows["changed"] = "\n".join(source.derivation.sentences())
    for name, value in rows.items():
        table.add_row(Text(name, style="bold"), Text(value))  # a prompt may hold square brackets
    return table


def _of_vectors(serving: Serving) -> dict[str, str]:
    return {
        "dimension": str(serving.dimension),
        "pooling": " + ".join(serving.pooling),
        "normalize": "yes" if serving.normalize else "no",
        "similarity": serving.similarity,
    }


def _of_scores(serving: Serving, reranking: Reranking) -> dict[str, str]:
    return {
        "scores": f"{serving.dimension} a pair{''.join(f', {label}' for label in reranking.labels)}",
        "activation": reranking.activation,
    }


def _why(manifest: Manifest) -> str:
    if manifest.default_variant == "fp32":
        return (
            "the checkpoint's own numbers; name another one to load it, or make it the default with quantize --default"
        )
    if "fp32" not in manifest.variants:
        return "the graph that was grafted"
    return "made the default with quantize --default"


def _variants(manifest: Manifest) -> Table:
    named = [Column(name, overflow="fold") for name in ("variant", "file")]  # whole names, on a narrow terminal too
    numbers = [Column(name, no_wrap=True) for name in ("MB", "attention", "max |Δ|", "cos mean", "cos min")]
    table = Table(*named, *numbers)
    for name, variant in manifest.variants.items():
        parity = variant.parity
        table.add_row(
            Text(name),
            Text(variant.file),
            f"{manifest.files[variant.file].bytes / 1e6:.1f}",
            variant.attention,
            f"{parity.max_abs_difference:.1e}",
            f"{parity.cosine_mean:.6f}",
            f"{parity.cosine_min:.6f}",
        )
    return table
