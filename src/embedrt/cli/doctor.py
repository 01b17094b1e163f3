"""``embedrt doctor [MODEL]``: what this machine has, what runs where, and what is wrong with it in one sentence each."""

import json as json_module
import platform
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from embedrt import __version__
from embedrt.artifact.folder import locate
from embedrt.cli.options import Device, Json, Revision, Variant
from embedrt.cli.tables import table_console
from embedrt.errors import UnavailableError
from embedrt.inference.byte_sums import sums_of_bytes
from embedrt.inference.installation import conflict, onnxruntime_packages
from embedrt.inference.placement import Placed, strays
from embedrt.inference.probe import require_running
from embedrt.inference.session import GraphSession, available_providers, parse_device, runtime_version
from embedrt.machine.processor import instruction_names, processor_fields
from embedrt.machine.threads import available_threads, physical_cores

__all__ = ["doctor"]

_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimddp", "i8mm", "bf16")
"""Those that products of floats and bytes use, in the kernel's names."""


def doctor(
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="Artifact folder, .onnx file or Hub id: shows what runs where."),
    ] = None,
    device: Device = "cpu",
    variant: Variant = None,
    revision: Revision = None,
    json: Json = False,
) -> None:
    """Show processor, packages and providers, with MODEL which operator runs where; exit code 1 if something is wrong."""
    facts = _facts()
    problems = [problem for problem in (conflict(onnxruntime_packages()),) if problem is not None]
    placed: list[Placed] = []
    try:
        placed = _placements(model, device, variant, revision)
    except UnavailableError as error:
        problems.append(str(error))
    if json:
        answer = {**facts, "placements": [_as_json(one) for one in placed], "problems": problems}
        typer.echo(json_module.dumps(answer, indent=2, ensure_ascii=False))
    else:
        _print(facts, placed, problems, device)
    if problems:
        raise typer.Exit(1)


def _facts() -> dict[str, Any]:
    fields = processor_fields()
    known = instruction_names()
    return {
        "embedrt": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": fields.get("model name") or platform.processor() or "unknown",
        "instructions": [name for name in _INSTRUCTIONS if name in known],
        "int8 products": sums_of_bytes(runtime_version()),
        "threads": available_threads(),
        "physical cores": physical_cores(),
        "packages": onnxruntime_packages(),
        "onnxruntime": runtime_version(),
        "providers": available_providers(),
    }


def _placements(model: str | None, device: str, variant: str | None, revision: str | None) -> list[Placed]:
    """Where the nodes of ``model`` run; without one, only whether ``device`` runs anything.

    Raises:
        UnavailableError: it is not.
    """
    place = parse_device(device)
    if model is None:
        require_running(place)
        return []
    return GraphSession(locate(model, variant=variant, revision=revision).graph, device=place).placements


def _as_json(one: Placed) -> dict[str, Any]:
    return {"provider": one.provider, "operator": one.operator, "count": one.count}


def _print(facts: dict[str, Any], placed: list[Placed], problems: list[str], device: str) -> None:
    console = table_console()
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in facts.items():
        table.add_row(Text(name, style="bold"), Text(_words(value)))
    console.print(table)
    if placed:
        console.print(_placement_table(placed, parse_device(device).provider))
    for problem in problems:
        console.print(Text.assemble(("problem: ", "bold red"), problem), soft_wrap=True)
    if not problems:
        console.print("nothing is wrong")


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items()) or "none"
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)


def _placement_table(placed: list[Placed], wanted: str) -> Table:
    wrong = strays(placed, wanted)
    table = Table("provider", "operator", "nodes", *(["works on token vectors"] if wrong else []))
    for one in placed:
        table.add_row(one.provider, one.operator, str(one.count), *(["yes" if one in wrong else ""] if wrong else []))
    return table
