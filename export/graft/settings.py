"""Maximum length, prompts, similarity and padding, as sentence-transformers reads them from a checkpoint's files.

The maximum length is ``max_seq_length`` of sentence_bert_config.json where that is given; else tokenizer_config.json's
``model_max_length``, but no more than the model has positions. What tokenizer.json says of it counts for nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedrt_export.graft.reading import read_object
from embedrt_export.source.settings import require_last_layer, require_one_length, require_plain_calls

from embedrt.artifact.hub_files import CONFIG_FILE, SETTINGS_FILE, TOKENIZER_CONFIG_FILE, known_limit, prompts_of
from embedrt.artifact.manifest import SIMILARITIES
from embedrt.errors import CheckpointError

__all__ = ["ModelSettings", "TokenizerSettings", "model_settings", "tokenizer_settings"]

_TRANSFORMER_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_POSITIONS_BEHIND_PADDING = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "xmod", "data2vec-text", "esm"}
)
"""Model types whose position table begins with rows for padding, which no token gets."""
_KINDS = ("SentenceTransformer", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What config_sentence_transformers.json says."""

    prompts: dict[str, str]
    default_prompt_name: str | None
    similarity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerSettings:
    """What the transformer's own files say."""

    max_seq_length: int | None
    """Tokens, special ones included."""
    length_said_by: str
    """File and key."""
    padding_side: str
    truncation_side: str
    pad_token: str | None
    pad_token_id: int
    """Where the pad token is unknown to the tokenizer."""
    lowercase: bool
    """Texts are lowercased, whatever tokenizer.json does."""
    normalizer: dict[str, Any]
    """What is said of BERT's normalizer, by the names that tokenizer_config.json uses."""


def model_settings(folder: Path) -> ModelSettings:
    """For the checkpoint in ``folder``.

    Raises:
        CheckpointError: it is a model of another kind, or the default prompt is none of its prompts.
    """
    path = folder / SETTINGS_FILE
    config = read_object(path)
    if config.get("model_type") not in _KINDS:
        raise CheckpointError(f"{path} has model_type {config['model_type']}, expected SentenceTransformer")
    default = config.get("default_prompt_name")
    similarity = config.get("similarity_fn_name")
    return ModelSettings(
        prompts=prompts_of(config.get("prompts") or {}, default, refusal=CheckpointError),
        default_prompt_name=default,
        similarity=similarity if similarity in SIMILARITIES else "cosine",
    )


def tokenizer_settings(folder: Path) -> TokenizerSettings:
    """For the transformer in ``folder``.

    Raises:
        CheckpointError: texts are prepared in a way that the runtime does not know, or are longer than there are positions.
    """
    path, module = _transformer_config(folder)
    _require_plain_texts(module, path)
    given = module.get("processor_kwargs") or module.get("tokenizer_args") or {}
    written = read_object(folder / TOKENIZER_CONFIG_FILE)
    tokenizer = {**written, **given}
    config = read_object(folder / CONFIG_FILE)
    length, said_by = _length(
        module, path, tokenizer, written_in=folder / TOKENIZER_CONFIG_FILE, given=given, config=config
    )
    positions = _positions(config)
    if length is not None and positions is not None and length > positions:
        raise CheckpointError(
            f"{said_by} is {length}, but {folder / 'config.json'} has position vectors for {positions} tokens: "
            f"set it to {positions} or less"
        )
    pad = tokenizer.get("pad_token") or read_object(folder / "special_tokens_map.json").get("pad_token")
    names = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
    return TokenizerSettings(
        max_seq_length=length,
        length_said_by=said_by,
        padding_side=tokenizer.get("padding_side", "right"),
        truncation_side=tokenizer.get("truncation_side", "right"),
        pad_token=pad.get("content") if isinstance(pad, dict) else pad,
        pad_token_id=int(config.get("pad_token_id") or 0),
        lowercase=bool(module.get("do_lower_case")),
        normalizer={name: tokenizer[name] for name in names if name in tokenizer},
    )


def _transformer_config(folder: Path) -> tuple[Path, dict[str, Any]]:
    for name in _TRANSFORMER_CONFIGS:
        if config := read_object(folder / name):
            return folder / name, config
    return folder / _TRANSFORMER_CONFIGS[0], {}


def _require_plain_texts(module: dict[str, Any], path: Path) -> None:
    task, output = (
        module.get("transformer_task", "feature-extraction"),
        module.get("module_output_name", "token_embeddings"),
    )
    if task != "feature-extraction" or output != "token_embeddings":
        raise CheckpointError(
            f"{path} has transformer_task {task} and module_output_name {output}, "
            "expected feature-extraction and token_embeddings: the graph's token vectors are not what this model pools"
        )
    asked = module.get("modality_config", {"text": {"method": "forward"}})
    if "text" not in asked or "message" in asked or asked["text"].get("method") != "forward":
        raise CheckpointError(f"{path} has modality_config {asked!r:.200}, expected plain texts through forward")
    require_last_layer(asked["text"].get("method_output_name", "last_hidden_state"), output, str(path))
    require_one_length(module, str(path))
    require_plain_calls(module.get("processing_kwargs"), str(path))


def _length(
    module: dict[str, Any],
    path: Path,
    tokenizer: dict[str, Any],
    *,
    written_in: Path,
    given: dict[str, Any],
    config: dict[str, Any],
) -> tuple[int | None, str]:
    """Tokens, and which file and key say so."""
    if "model_max_length" in given:
        return _limit(given["model_max_length"], f"{path} has model_max_length"), f"{path} model_max_length"
    if module.get("max_seq_length") is not None:
        return _limit(module["max_seq_length"], f"{path} has max_seq_length"), f"{path} max_seq_length"
    said = _limit(tokenizer.get("model_max_length", tokenizer.get("max_len")), f"{written_in} has model_max_length")
    positions = _positions(config)
    if positions is not None and (said is None or said > positions):
        return positions, f"{written_in.parent / 'config.json'} max_position_embeddings"
    return said, f"{written_in} model_max_length"


def _limit(value: Any, said: str) -> int | None:
    return known_limit(value, said, refusal=CheckpointError)


def _positions(config: dict[str, Any]) -> int | None:
    """Tokens that the transformer has positions for; None: nothing says so (xlnet says -1)."""
    rows = config.get("max_position_embeddings")
    if not isinstance(rows, int) or rows < 1:
        return None
    padding = config.get("pad_token_id")
    behind = config.get("model_type") in _POSITIONS_BEHIND_PADDING
    return rows - (1 if padding is None else int(padding) + 1) if behind else rows
