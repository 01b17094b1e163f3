"""What sentence-transformers and transformers write beside a graph of their own: lengths, prompts, similarity."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embedrt.artifact.manifest import Serving
from embedrt.errors import EmbedrtError, ManifestError

__all__ = [
    "CONFIG_FILE",
    "LIMITS_FILE",
    "MODULES_FILE",
    "SETTINGS_FILE",
    "SIDE_FILES",
    "SPECIAL_TOKENS_FILE",
    "TOKENIZER_CONFIG_FILE",
    "UNLIMITED",
    "known_limit",
    "prompts_of",
    "serving_from_hub_files",
]

LIMITS_FILE, SETTINGS_FILE = "sentence_bert_config.json", "config_sentence_transformers.json"
MODULES_FILE = "modules.json"
"""Where sentence-transformers keeps a length; prompts and similarity; what follows what."""
CONFIG_FILE, TOKENIZER_CONFIG_FILE = "config.json", "tokenizer_config.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"
"""Where transformers keeps what belongs to a model, and to its tokenizer."""
SIDE_FILES = (
    CONFIG_FILE,
    TOKENIZER_CONFIG_FILE,
    SPECIAL_TOKENS_FILE,
    LIMITS_FILE,
    SETTINGS_FILE,
    MODULES_FILE,
)
"""What is read beside graph and tokenizer of a repository that has no manifest; each may be missing."""
UNLIMITED = 10**9
"""Above every maximum length: transformers writes 1e30 where a tokenizer knows none."""


def serving_from_hub_files(folder: Path, *, dimension: int) -> Serving:
    """What a folder without a manifest tells of itself in the files that sentence-transformers and transformers write."""
    tokenizer = _json(folder / TOKENIZER_CONFIG_FILE)
    sentence_transformers = _json(folder / SETTINGS_FILE)
    limits = (
        known_limit(_json(folder / LIMITS_FILE).get("max_seq_length"), f"{LIMITS_FILE} has max_seq_length"),
        known_limit(tokenizer.get("model_max_length"), f"{TOKENIZER_CONFIG_FILE} has model_max_length"),
    )
    known = [limit for limit in limits if limit is not None]
    default = sentence_transformers.get("default_prompt_name")
    return Serving(
        dimension=dimension,
        max_seq_length=known[0] if known else None,
        pad_token_id=int(_json(folder / CONFIG_FILE).get("pad_token_id") or 0),
        padding_side=tokenizer.get("padding_side", "right"),
        prompts=prompts_of(sentence_transformers.get("prompts") or {}, default),
        default_prompt_name=default,
        similarity=sentence_transformers.get("similarity_fn_name") or "cosine",
    )


def known_limit(told: object, said: str, *, refusal: type[EmbedrtError] = ManifestError) -> int | None:
    """A length in tokens, as files say it; None where they say none, or one without end. ``said`` names file and key.

    Raises:
        EmbedrtError: of the class ``refusal``: it is no number.
    """
    if told is None:
        return None
    if not isinstance(told, int | float):
        raise refusal(f"{said} {told!r:.40}, expected a number of tokens: correct or remove it")
    return int(told) if told < UNLIMITED else None


def prompts_of(told: object, default: object, *, refusal: type[EmbedrtError] = ManifestError) -> dict[str, str]:
    """The ``prompts`` of config_sentence_transformers.json, checked with its ``default_prompt_name``.

    Every model has those of queries and documents, if empty ones.

    Raises:
        EmbedrtError: of the class ``refusal``: they are no texts by name, or the default is none of their names.
    """
    if not isinstance(told, Mapping):
        raise refusal(
            f"{SETTINGS_FILE} has prompts {told!r:.40}, expected texts by name, as {{'query': 'query: '}}: correct or remove them"
        )
    for name, text in told.items():
        if text is not None and not isinstance(text, str):
            raise refusal(f"{SETTINGS_FILE} has the prompt {name!r}: {text!r:.40}, expected a text: correct it")
    prompts = {"query": "", "document": "", **{name: text or "" for name, text in told.items()}}
    if default is not None and default not in prompts:
        own = f" and its prompts ({', '.join(told)})" if told else ""
        raise refusal(
            f"{SETTINGS_FILE} has default_prompt_name {default!r}, expected one of query, document{own}: correct or remove it"
        )
    return prompts


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ManifestError(f"{path} is not JSON: {error}") from error
    return content if isinstance(content, dict) else {}
