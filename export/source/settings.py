"""What a checkpoint's settings may say of texts and prompts, for the exporter and for graft; no PyTorch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embedrt.artifact.hub_files import LIMITS_FILE, SETTINGS_FILE, known_limit, prompts_of
from embedrt.errors import CheckpointError

__all__ = ["asked_length", "require_last_layer", "require_one_length", "require_plain_calls", "require_settings"]

_ANY_LIMITS = "sentence_*_config.json"
"""Before version 1 sentence-transformers named that file by the architecture: sentence_roberta_config.json."""
_TOKENS = "token_embeddings"
_LAST_LAYER = ("last_hidden_state", ["last_hidden_state"], ["hidden_states", -1])
_AS_EVER = {"padding": (True, "longest"), "truncation": (True, "longest_first"), "return_tensors": ("pt",)}
"""What sentence-transformers asks of a tokenizer anyway."""


def require_settings(folder: Path) -> None:
    """Refuse prompts that are no text, a default that is no prompt, and vectors without width, before anything is loaded.

    Raises:
        CheckpointError: with the file, the key, and what was found.
    """
    path = folder / SETTINGS_FILE
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not isinstance(settings, dict):
        raise CheckpointError(
            f"{SETTINGS_FILE} holds a {type(settings).__name__}, expected an object: download it again"
        )
    width = settings.get("truncate_dim")
    if width is not None and (not isinstance(width, int) or width < 1):
        raise CheckpointError(
            f"{SETTINGS_FILE} has truncate_dim {width!r}, expected a width of at least 1: correct or remove it"
        )
    prompts_of(settings.get("prompts", {}), settings.get("default_prompt_name"), refusal=CheckpointError)


def asked_length(folder: Path) -> tuple[str, int | None]:
    """The length that the checkpoint itself asks for, wherever its Transformer module lies, and the file that has it.

    Raises:
        CheckpointError: it is no number.
    """
    path = next((path for place in ("", "0_*/") for path in sorted(folder.glob(place + _ANY_LIMITS))), None)
    if path is None:
        return LIMITS_FILE, None
    told = json.loads(path.read_text(encoding="utf-8")).get("max_seq_length")
    return path.name, known_limit(told, f"{path.name} has max_seq_length", refusal=CheckpointError)


def require_plain_calls(asked: Any, file: str) -> None:
    """Refuse arguments of each call of the tokenizer, ``processing_kwargs`` of ``file``, which no tokenizer.json holds.

    Raises:
        CheckpointError: naming them.
    """
    kinds = asked if isinstance(asked, Mapping) else {}
    texts = {**kinds.get("common", {}), **kinds.get("text", {})}
    unknown = {name: value for name, value in texts.items() if value not in _AS_EVER.get(name, ())}
    if unknown:
        raise CheckpointError(
            f"{file} has processing_kwargs {unknown!r:.200}, which no artifact has: remove them; "
            "a length belongs in max_seq_length"
        )


def require_one_length(lengths: Mapping[str, Any], file: str) -> None:
    """Refuse ``query_length`` and ``document_length``, at which sentence-transformers cuts the texts of a role.

    Raises:
        CheckpointError: one of them is given.
    """
    for key in ("query_length", "document_length"):
        if (length := lengths.get(key)) is not None:
            raise CheckpointError(
                f"{file} has {key} {length!r}, a length for one role; an artifact cuts all texts alike: remove the key, and "
                "set max_seq_length, once for queries and once for documents where they differ"
            )


def require_last_layer(read: Any, called: Any, file: str) -> None:
    """Refuse another output of the transformer than its last layer, or another name for that.

    Raises:
        CheckpointError: naming the key.
    """
    found = list(read) if isinstance(read, tuple) else read
    if found not in _LAST_LAYER:
        raise CheckpointError(
            f"{file} has modality_config.text.method_output_name {found!r}, expected 'last_hidden_state': "
            "an artifact pools the vectors of the last layer"
        )
    if called != _TOKENS:
        raise CheckpointError(
            f"{file} has module_output_name {called!r}, expected {_TOKENS!r}, which pooling reads: correct or remove it"
        )
