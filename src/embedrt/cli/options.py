"""The options that several commands share, each written once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from embedrt.errors import InputError

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Artifact folder, single .onnx file, or Hub id.")]
Source = Annotated[
    str,
    typer.Argument(
        metavar="INPUT", help="Text file (a text a line), .jsonl, .csv, .tsv, .gz of these, .parquet, or - for stdin."
    ),
]
TextField = Annotated[str, typer.Option(help="The key or column of the text, where a file has several.")]
Variant = Annotated[str | None, typer.Option(help="A variant of the artifact; without it, the manifest's default.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:N or auto.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Without it, as many as affinity and CPU quota allow.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub repository.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code that the checkpoint brings along.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
PromptName = Annotated[str | None, typer.Option(help="Name of a prompt of the checkpoint.")]
Prompt = Annotated[str | None, typer.Option(help="A text that is put before each text.")]
GivenPrompts = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        metavar="NAME=TEXT",
        help="A text to put before texts, which the checkpoint does not carry: 'query=query: '. May be given several times.",
    ),
]
DefaultPrompt = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Which prompt is used where none is named; without it, the checkpoint's."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write.")]

Precisions = list[str]  # typer takes no list of literals; the exporter says what it expects
Calibration = Annotated[
    Path | None, typer.Option(help="Texts to learn ranges from, one a line; without it, a small multilingual set.")
]
Processor = Annotated[
    Literal["any", "avx2"],
    typer.Option(help="avx2: 7-bit weights. ONNX Runtime needs none: it sums those of 8 exactly everywhere."),
]
Gate = Annotated[
    float | None,
    typer.Option(
        help="The least that a variant may reach; without it, its kind's own: for dense ones, a mean cosine of 0.995."
    ),
]
Attention = Annotated[
    Literal["mask", "lengths"],
    typer.Option(
        help="lengths: variants read how many tokens of a text are real: the same vectors, long texts faster, "
        "but ONNX Runtime 1.24 would attend to padding."
    ),
]
AllowBelowGate = Annotated[bool, typer.Option("--allow-below-gate", help="Write a variant that is below the gate.")]
Sts = Annotated[Path | None, typer.Option(help="Folder of STS files: record the change of the scores.")]


def named_prompts(given: Sequence[str] | None) -> dict[str, str]:
    """``NAME=TEXT`` as typed, by name; spaces of the text count.

    Raises:
        InputError: there is no name.
    """
    prompts = {}
    for typed in given or ():
        name, separator, text = typed.partition("=")
        if not separator or not name:
            raise InputError(f"--prompt is {typed!r}, expected NAME=TEXT: --prompt 'query=query: '")
        prompts[name] = text
    return prompts
