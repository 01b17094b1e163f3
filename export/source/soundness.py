"""What a checkpoint's files say that cannot be, found before anything is traced; every message names the file and the key."""

from typing import Any

import torch
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.packing.tokenizer_file import backend_of
from embedrt_export.source.settings import (
    asked_length,
    require_last_layer,
    require_one_length,
    require_plain_calls,
)
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import CNN, LayerNorm, Pooling
from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder
from transformers import PreTrainedTokenizerBase

from embedrt.artifact.hub_files import LIMITS_FILE, MODULES_FILE
from embedrt.errors import CheckpointError

__all__ = ["require_sound", "tokens_without_vectors"]

_READS: dict[type, str] = {
    CNN: "in_embedding_dimension",
    Pooling: "embedding_dimension",
    Dense: "in_features",
    LayerNorm: "dimension",
}
"""The key of a module's config.json that says how wide the vectors are that it reads."""


def require_sound(checkpoint: Checkpoint, *, max_seq_length: int | None = None) -> None:
    """Refuse what could be loaded and cannot work, or would work otherwise than the exporter takes it.

    With ``max_seq_length`` texts will be cut there, and not where the checkpoint says.

    Raises:
        CheckpointError: with the file, the key, what was found, and what to do.
    """
    if not hasattr(checkpoint.model[0], "tokenizer"):
        begins = type(checkpoint.model[0]).__name__
        raise CheckpointError(
            f"modules.json begins with a {begins}, expected what reads texts, as a Transformer does: correct it"
        )
    _require_own_auto_encoder(checkpoint)
    _require_backend(checkpoint)
    _require_numbers(checkpoint)
    _require_pieces(checkpoint)
    first = checkpoint.model[0]
    if not isinstance(first, Transformer):
        return  # the module stage says what it takes
    _require_plain_texts(first)
    if not (_reads_logits(checkpoint) or checkpoint.is_text_tower):
        require_last_layer(first.modality_config["text"]["method_output_name"], first.module_output_name, LIMITS_FILE)
    _require_padding(checkpoint)
    if max_seq_length is None:
        _require_positions(checkpoint)
        _require_room(checkpoint)
    if checkpoint.kind != "multi-vector":
        require_one_length(vars(first), LIMITS_FILE)
        require_plain_calls(getattr(first, "processing_kwargs", {}), LIMITS_FILE)
    if checkpoint.kind in ("dense", "hybrid"):
        _require_matching_widths(list(checkpoint.model))


def _require_backend(checkpoint: Checkpoint) -> None:
    """Of a tokenizer of transformers; those of words are cut by rules of their own, or are a cover around one."""
    tokenizer = getattr(checkpoint.tokenizer, "tokenizer", checkpoint.tokenizer)
    if isinstance(tokenizer, PreTrainedTokenizerBase):
        backend_of(tokenizer, checkpoint.source.model)


def _require_numbers(checkpoint: Checkpoint) -> None:
    for name, weight in checkpoint.model.named_parameters():
        if not torch.isfinite(weight).all():
            raise CheckpointError(
                f"{name} of the checkpoint's weights holds NaN or infinity: train or download it again"
            )


def _require_pieces(checkpoint: Checkpoint) -> None:
    """Without files, transformers makes a tokenizer that knows its special tokens alone, and every word is unknown."""
    vocabulary = getattr(checkpoint.tokenizer, "get_vocab", None)
    special = getattr(checkpoint.tokenizer, "all_special_tokens", None)
    if vocabulary is not None and special is not None and set(vocabulary()) <= set(special):
        raise CheckpointError(
            f"{checkpoint.source.model} has no tokenizer that knows a word: its files (tokenizer.json, or vocab.txt and the "
            "like) are missing. Download the checkpoint again"
        )


def tokens_without_vectors(checkpoint: Checkpoint) -> str | None:
    """A sentence about tokens that the tokenizer gives and the model has no row for; None: there are none.

    PyTorch fails on such a text too. Some checkpoints never meet one, so that it is told and not refused.
    """
    rows, vocabulary = _rows(checkpoint), getattr(checkpoint.tokenizer, "get_vocab", None)
    if rows is None or vocabulary is None:
        return None
    beyond = [number for number in vocabulary().values() if number >= rows]
    if not beyond:
        return None
    return (
        f"{len(beyond)} tokens of the tokenizer, from id {min(beyond)} on, have no vector, for the model has {rows}: "
        "a text with one of them cannot be encoded"
    )


def _rows(checkpoint: Checkpoint) -> int | None:
    if checkpoint.transformer is None:
        return getattr(getattr(checkpoint.model[0], "embedding", None), "num_embeddings", None)
    try:
        return int(checkpoint.transformer.get_input_embeddings().num_embeddings)
    except (NotImplementedError, AttributeError):  # an architecture that does not say where its table is
        return None


def _require_own_auto_encoder(checkpoint: Checkpoint) -> None:
    """sentence-transformers puts a new one, with random weights, behind what has no sparse vectors of its own."""
    if not isinstance(checkpoint.model[-1], SparseAutoEncoder):
        return
    described = [checkpoint.folder / MODULES_FILE, *checkpoint.folder.rglob("router_config.json")]
    if not any(SparseAutoEncoder.__name__ in path.read_text("utf-8") for path in described if path.is_file()):
        raise CheckpointError(
            f"{checkpoint.source.model} is no sparse encoder: it has no masked-LM head and no sparse auto-encoder, and a new one "
            "would have random weights. Leave out --kind sparse, or train one on it first"
        )


def _require_plain_texts(transformer: Any) -> None:
    asked: dict[Any, dict[str, Any]] = transformer.modality_config
    if "text" not in asked:
        raise CheckpointError(
            f"the checkpoint reads {', '.join(map(str, asked)) or 'nothing known'}, not text: the exporter takes text encoders"
        )
    if "message" in asked:
        raise CheckpointError(
            "tokenizer_config.json (or chat_template.jinja) has a chat_template, so that sentence-transformers makes a chat "
            "message of every text; the exporter takes plain texts. If the model was trained on these, remove the template"
        )
    if asked["text"]["method"] not in ("forward", "get_text_features"):
        raise CheckpointError(
            f"modality_config.text.method is {asked['text']['method']!r}; the exporter takes forward and get_text_features"
        )
    model = transformer.auto_model
    if asked["text"]["method"] == "get_text_features" and not hasattr(model, "text_projection"):
        raise CheckpointError(
            f"the checkpoint is a {type(model).__name__}, whose text side ends without a text_projection; the exporter takes "
            "CLIP's. SigLIP's pools the last position, padding or not, so that a text's vector depends on its batch"
        )


def _reads_logits(checkpoint: Checkpoint) -> bool:
    return checkpoint.kind == "cross-encoder" or (
        checkpoint.kind == "sparse" and checkpoint.model[0].transformer_task == "fill-mask"
    )


def _require_padding(checkpoint: Checkpoint) -> None:
    """Without a token to pad with, sentence-transformers encodes nothing, not even a single text."""
    tokenizer = checkpoint.tokenizer
    if getattr(tokenizer, "pad_token", "") is None:
        known = tokenizer.eos_token or next(iter(tokenizer.all_special_tokens), None)
        raise CheckpointError(
            "tokenizer_config.json names no pad_token, without which sentence-transformers encodes no text: name there the one "
            f"that the model was trained with{'' if known is None else f' (often the last of a text: {known!r})'}"
        )


def _require_positions(checkpoint: Checkpoint) -> None:
    positions, (file, asked) = checkpoint.positions, asked_length(checkpoint.folder)
    if positions is not None and asked is not None and asked > positions:
        option = f", or pass --max-seq-length {positions}" if checkpoint.cuts_alike else ""
        raise CheckpointError(
            f"{file} has max_seq_length {asked}, but the model has position vectors for {positions} tokens: "
            f"set it to {positions} or less{option}"
        )


def _require_room(checkpoint: Checkpoint) -> None:
    """Where texts are cut, something of them must be left beside special tokens, and of a pair so much that memory is enough."""
    limit = checkpoint.max_seq_length
    if limit is None or not checkpoint.cuts_alike:
        return
    least, what = checkpoint.least_length
    if limit < least:
        file, _ = asked_length(checkpoint.folder)
        raise CheckpointError(
            f"{checkpoint.source.model} cuts at {limit} tokens, expected at least {least} for {what}: correct max_seq_length in "
            f"{file} (where it has none, model_max_length in tokenizer_config.json), or pass --max-seq-length"
        )


def _require_matching_widths(modules: list[Any]) -> None:
    """Each module must read vectors as wide as the one before gives."""
    width = int(modules[0].get_embedding_dimension())
    for number, module in enumerate(modules):
        key = _READS.get(type(module))
        if key is None:
            continue
        if (wanted := int(getattr(module, key))) != width:
            raise CheckpointError(
                f"{number}_{type(module).__name__}/config.json has {key} {wanted}, "
                f"but what comes before gives vectors of {width}: the module is not of this checkpoint, or the key is wrong"
            )
        width = int(module.get_embedding_dimension())
