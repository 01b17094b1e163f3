"""What is to be done: a folder read, and everything that can be refused without running the graph refused."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from embedrt_export.graft.candidates import Candidate, choose_graph
from embedrt_export.graft.chain import Chain
from embedrt_export.graft.inputs import require_inputs, require_one_token_type
from embedrt_export.graft.modules import Modules, plain_modules, read_modules
from embedrt_export.graft.outputs import sentence_output, token_output
from embedrt_export.graft.settings import ModelSettings, TokenizerSettings, model_settings, tokenizer_settings
from embedrt_export.graft.side_files import pad_token_id, read_tokenizer
from embedrt_export.graft.writer import require_opset
from embedrt_export.source.pooling_modes import POOLING_MODES
from tokenizers import Tokenizer

from embedrt.artifact.derivation import Derivation
from embedrt.artifact.hub import is_hub_id
from embedrt.artifact.hub_files import MODULES_FILE
from embedrt.errors import CheckpointError, InputError
from embedrt.inference.session import SENTENCE_EMBEDDING
from embedrt.prompts import merged_prompts

__all__ = ["GraftOptions", "Task", "read_task"]

_SNAPSHOT = re.compile(r"models--(?P<name>.+)/snapshots/(?P<commit>[0-9a-f]{40})$")
"""Where huggingface_hub keeps what it downloads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraftOptions:
    """What a folder may not say by itself."""

    graph: str | Path | None = None
    """The .onnx file, from the folder on; None: the float32 one."""
    pooling: Sequence[str] | None = None
    """Modes for a folder without modules.json, concatenated in this order."""
    normalize: bool = False
    """Let vectors have length 1, for a folder without modules.json."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Texts to put before texts, by name, beside the folder's own."""
    default_prompt: str | None = None
    """The name of the one to use where none is named; None: the folder's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One graph, and what its folder says of it."""

    name: str
    """Of the model."""
    revision: str | None
    graph: Candidate
    opset: int
    tokens: str | None
    """The output with token vectors (batch, sequence, hidden)."""
    gives_vectors: bool
    """Whether the graph gives ``sentence_embedding`` already."""
    chain: Chain | None
    """What follows the token vectors; None where nothing says so."""
    settings: ModelSettings
    derivation: Derivation | None
    """What was asked for beside what the folder says; None: nothing."""
    files: Path
    """Where the transformer's and the tokenizer's files are."""
    tokenization: TokenizerSettings
    tokenizer: Tokenizer
    pad_token_id: int


def read_task(folder: Path, options: GraftOptions) -> Task:
    """Read ``folder``.

    Raises:
        CheckpointError: something is missing, unknown or contradictory; the message names the file and the key.
        InputError: the options do not fit the folder.
    """
    if not folder.is_dir():
        advice = f": download it first, hf download {folder} --local-dir DIR" if is_hub_id(str(folder)) else ""
        raise CheckpointError(f"there is no folder at {folder}{advice}; pass one with modules.json and an .onnx file")
    modules = _modules(folder, options)
    graph = choose_graph(folder, options.graph)
    require_inputs(graph.model, graph.path)
    opset = require_opset(graph.model, str(graph.path))
    tokens = token_output(graph.model, graph.path)
    gives_vectors = sentence_output(graph.model) is not None
    if modules.chain is None and not gives_vectors:
        raise CheckpointError(
            f"{folder} has no {MODULES_FILE} that says how token vectors become one vector: pass --pooling with one of "
            f"{', '.join(POOLING_MODES)}, and --normalize if they are to have length 1 (the model card tells which)"
        )
    if tokens is None and (options.pooling is not None or options.normalize):
        raise InputError(
            f"{graph.path} gives {SENTENCE_EMBEDDING} alone, no token vectors to pool: leave out --pooling and --normalize"
        )
    tokenization = tokenizer_settings(modules.transformer)
    tokenizer = read_tokenizer(modules.transformer, tokenization)
    require_one_token_type(graph.model, tokenizer, graph.path)
    name, revision = _name(folder)
    derivation = Derivation(prompts=dict(options.prompts), default_prompt=options.default_prompt)
    return Task(
        name=name,
        revision=revision,
        graph=graph,
        opset=opset,
        tokens=None if tokens is None or modules.chain is None else str(tokens.name),
        gives_vectors=gives_vectors,
        chain=modules.chain,
        settings=_prompted(model_settings(folder), options),
        derivation=derivation.if_any(),
        files=modules.transformer,
        tokenization=tokenization,
        tokenizer=tokenizer,
        pad_token_id=pad_token_id(tokenizer, tokenization),
    )


def _modules(folder: Path, options: GraftOptions) -> Modules:
    if not (folder / MODULES_FILE).is_file():
        return plain_modules(folder, pooling=options.pooling, normalize=options.normalize)
    if options.pooling is not None or options.normalize:
        raise InputError(
            f"{folder / MODULES_FILE} says what follows the transformer: leave out --pooling and --normalize"
        )
    return read_modules(folder)


def _name(folder: Path) -> tuple[str, str | None]:
    """The model's name, and its commit where the folder is one of huggingface_hub's."""
    place = folder.resolve()
    found = _SNAPSHOT.search(place.as_posix())
    return (found["name"].replace("--", "/"), found["commit"]) if found else (place.name, None)


def _prompted(settings: ModelSettings, options: GraftOptions) -> ModelSettings:
    prompts, default = merged_prompts(
        settings.prompts, settings.default_prompt_name, given=options.prompts, default=options.default_prompt
    )
    return dataclasses.replace(settings, prompts=prompts, default_prompt_name=default)
