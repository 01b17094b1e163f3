"""``make arm``: MiniLM's vectors on emulated Arm processors beside this machine's, and whether company changes a bit there.

Writes bench/results/arm.json, after each encoding, so that an interrupted run keeps what it found, and the table in docs/arm.md.
Emulation says what is computed, and nothing about how fast. A processor that fails is listed with its reason. With
``--only-python PROCESSOR`` it prints the path of that processor's interpreter instead, for ``make test-arm``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from embedrt_bench.arm.emulation import ArmPython, arm_python
from embedrt_bench.command import errors_told, file_to_write
from embedrt_bench.documents import DOCS, heading, line, processor, with_blocks
from embedrt_bench.engines.process import TAIL
from embedrt_bench.models.minilm import exported, with_variants
from embedrt_bench.results import RESULTS, read_result, write_result
from embedrt_bench.texts.corpus import TokenCounter, read_corpus
from embedrt_bench.texts.data import data_folder
from embedrt_export.parity.texts import PARITY_TEXTS
from embedrt_export.source.diagnosis import first_line
from tqdm import tqdm

from embedrt.errors import EmbedrtError

__all__ = ["PAGE", "PROCESSORS", "Encoding", "Processor", "compared", "main", "measure", "table", "with_table"]

_RESULT, PAGE = RESULTS / "arm.json", DOCS / "arm.md"
_ENCODE = Path(__file__).resolve().with_name("encode.py")
_VARIANTS = ("fp32", "int8", "int8-static")
_SENTENCES, _TOKENS = 16, 32
_PATIENCE = 3600.0
"""Seconds that an encoding may take: many times what any does, but a run ends although an emulator hangs."""
_SHORT = ("Hello", "How do you do?", "忘记密码", "")
Vectors = Mapping[str, npt.NDArray[np.float32]]
"""What encode.py writes."""


@dataclass(frozen=True, slots=True)
class Processor:
    """A processor that QEMU emulates."""

    name: str
    """As QEMU's ``-cpu`` takes it."""
    found_in: str
    instructions: str
    """What matters to matrix products, beyond those of the first ARMv8."""
    slow: bool = False
    """Emulated fifty times slower, for its long vectors: four short texts only."""


PROCESSORS = (
    Processor("cortex-a72", "Raspberry Pi 4, AWS Graviton", "none"),
    Processor("cortex-a76", "Raspberry Pi 5", "dotprod"),
    Processor("neoverse-n1", "AWS Graviton2, Ampere Altra", "dotprod"),
    Processor("neoverse-n2", "Azure Cobalt 100", "dotprod, i8mm, bf16, SVE2"),
    Processor("neoverse-v1", "AWS Graviton3", "dotprod, i8mm, bf16, SVE of 256 bits", slow=True),
    Processor("max,pauth-impdef=on", "everything that QEMU has", "dotprod, i8mm, bf16, SVE2, SME", slow=True),
)


def measure(
    python: ArmPython,
    artifact: Path,
    processors: Sequence[Processor],
    *,
    keep: Callable[[dict[str, Any]], None] = lambda result: None,
) -> dict[str, Any]:
    """By processor and variant: how far the vectors are from this machine's, and whether company changes a bit there.

    A processor that fails has the ``reason`` instead. ``keep`` gets what was found so far, after each encoding.
    """
    corpus = read_corpus(data_folder(), _SENTENCES, seed=0)
    texts = {True: _SHORT, False: _of_few_tokens([*PARITY_TEXTS, *corpus.sentences], TokenCounter(artifact))}
    rows: dict[str, dict[str, Any]] = {
        machine.name: {"found_in": machine.found_in, "instructions": machine.instructions} for machine in processors
    }
    result = {"texts": corpus.label, "machines": rows}
    turns = [(variant, machine) for variant in _VARIANTS for machine in processors]
    with tempfile.TemporaryDirectory() as place, tqdm(turns, unit="variant", file=sys.stderr, disable=None) as bar:
        encoding = Encoding(artifact, Path(place))
        here = {
            (slow, variant): encoding.vectors(Path(sys.executable), variant, some)
            for slow, some in texts.items()
            for variant in _VARIANTS
        }
        for variant, machine in bar:
            row = rows[machine.name]
            if "reason" in row:
                continue
            bar.set_postfix_str(f"{machine.name}, {variant}")
            exact = here[machine.slow, "fp32"]["together"]
            try:
                there = encoding.vectors(python.program(machine.name), variant, texts[machine.slow])
                row[variant] = compared(there, here[machine.slow, variant], exact)
            except EmbedrtError as failed:
                tqdm.write(f"not computed: {machine.name}, {variant}: {failed}", file=sys.stderr)
                row["reason"] = f"{variant}: {first_line(failed)}"
            keep(result)
    return result


def _of_few_tokens(texts: Sequence[str], count: TokenCounter) -> list[str]:
    return [text for text, tokens in zip(texts, count(texts)) if tokens <= _TOKENS]


@dataclass(frozen=True, slots=True)
class Encoding:
    """An artifact, and a folder for what goes into encode.py and comes out."""

    artifact: Path
    place: Path

    def vectors(self, interpreter: Path, variant: str, texts: Sequence[str]) -> Vectors:
        """What encode.py finds there.

        Raises:
            EmbedrtError: it failed, with the end of what it said, or took an hour.
        """
        given, out = self.place / "texts.json", self.place / "vectors.npz"
        given.write_text(json.dumps(list(texts)), encoding="utf-8")
        command = [str(part) for part in (interpreter, _ENCODE, self.artifact, variant, given, out)]
        out.unlink(missing_ok=True)
        try:
            run = subprocess.run(
                command, check=False, capture_output=True, text=True, errors="replace", timeout=_PATIENCE
            )
        except subprocess.TimeoutExpired as hung:
            raise EmbedrtError(f"{' '.join(command)} did not end within {_PATIENCE:g} s") from hung
        if run.returncode or not out.is_file():
            said = run.stderr[-TAIL:].strip() or "nothing on stderr"
            raise EmbedrtError(f"{' '.join(command)} failed:\n{said}\n(status {run.returncode})")
        with np.load(out) as found:
            return dict(found)


def compared(there: Vectors, here: Vectors, exact: npt.NDArray[np.float32]) -> dict[str, Any]:
    """One machine's vectors and another's, and how faithful each is to the ``exact`` ones of fp32.

    Raises:
        EmbedrtError: there are other vectors than here, or some that are not finite.
    """
    for company, vectors in there.items():
        if vectors.shape != here["together"].shape or not np.isfinite(vectors).all():
            shape = f"its vectors have the shape {vectors.shape}, those of here {here['together'].shape}"
            raise EmbedrtError(f"{company}: {shape}, or some are not finite")
    ours, theirs = here["together"].astype(np.float64), there["together"].astype(np.float64)
    return {
        "texts": len(theirs),
        "same_bits_in_any_company": all(np.array_equal(there["together"], there[how]) for how in ("alone", "crowded")),
        "largest_difference": float(np.abs(ours - theirs).max()),
        "smallest_cosine": float((ours * theirs).sum(axis=1).min()),
        "mean_cosine_to_fp32": [float((vectors * exact).sum(axis=1).mean()) for vectors in (theirs, ours)],
    }


def table(result: dict[str, Any]) -> str:
    """A row a processor, in Markdown."""
    rounded = [variant for variant in _VARIANTS if variant != "fp32"]
    figures = [
        f"{variant}: {figure}" for variant in rounded for figure in ("smallest cosine", "mean to fp32, there and here")
    ]
    columns = ["QEMU's name", "found in", "instructions", "texts", "fp32: largest difference", *figures]
    lines, missing = heading([*columns, "same bits in any company"], words=3), []
    for name, row in result["machines"].items():
        if not row.keys() >= set(_VARIANTS):
            missing.append(f"{name} ({row.get('reason', 'the run was interrupted')})")
            continue
        found = [row[variant] for variant in rounded]
        cosines = [cell for one in found for cell in (f"{one['smallest_cosine']:.5f}", _means(one))]
        cells = [str(row["fp32"]["texts"]), f"{row['fp32']['largest_difference']:.1e}", *cosines]
        same = "yes" if all(one["same_bits_in_any_company"] for one in (row["fp32"], *found)) else "**no**"
        lines.append(line([name, row["found_in"], row["instructions"], *cells, same]))
    packages = result["machine"]["packages"]
    note = (
        f"Computed {result['date']} with onnxruntime {packages['onnxruntime']} for aarch64 in {result['qemu']}; "
        f"compared with what it gives here, on an {processor(result)}. "
        f"Texts: those of `embedrt verify` up to {_TOKENS} tokens, and {result['texts']}."
    )
    absent = [f"Not computed: {'; '.join(missing)}."] if missing else []
    return "\n".join([*lines, "", *absent, note])


def _means(one: dict[str, Any]) -> str:
    return ", ".join(f"{mean:.5f}" for mean in one["mean_cosine_to_fp32"])


def with_table(text: str, result: dict[str, Any]) -> str:
    """``text`` with its table made anew."""
    return with_blocks(text, "table", lambda _name: table(result))


@errors_told()
def main() -> None:
    """Compare, write the result, and bring it into the page unless it goes elsewhere."""
    options = argparse.ArgumentParser(prog="make arm", description=__doc__)
    options.add_argument("--qemu", default="qemu-aarch64", help="the emulator of programs for aarch64")
    options.add_argument("--root", default="", help="an unpacked aarch64 image with a Python")
    options.add_argument("--only-python", metavar="PROCESSOR", help="install, and print its interpreter")
    options.add_argument(
        "--output", type=file_to_write, default=_RESULT, help="the result file; without it %(default)s"
    )
    asked = options.parse_args()
    python = arm_python(asked.qemu, asked.root)
    python.install()
    if asked.only_python:
        print(python.program(asked.only_python))
        return
    artifact, emulator = with_variants(exported()[0], ("int8", "int8-static")), {"qemu": python.emulator()}
    measure(python, artifact, PROCESSORS, keep=lambda found: write_result(asked.output, {**emulator, **found}))
    result = read_result(asked.output)
    if asked.output == _RESULT:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    main()
