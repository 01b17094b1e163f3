"""The tokenizer's file of a checkpoint on words: words.json, or tokenizer.json where its words are a transformer's pieces."""

import json
from pathlib import Path
from typing import Any

from embedrt_export.checkpoint import Checkpoint
from embedrt_export.packing.tokenizer_file import backend_of, write_tokenizer
from sentence_transformers.sentence_transformer.modules import BoW
from sentence_transformers.sentence_transformer.modules.tokenizer import (
    PhraseTokenizer,
    TransformersTokenizerWrapper,
    WhitespaceTokenizer,
)
from tokenizers import Tokenizer

from embedrt.artifact.folder import WORDS_FILE
from embedrt.artifact.hub_files import CONFIG_FILE
from embedrt.errors import CheckpointError
from embedrt.text.segmenters import WordRules
from embedrt.text.words import write_words

__all__ = ["max_seq_length", "vocabulary_of", "write_word_files"]

_UNLIMITED = 1_000_000  # what sentence-transformers sets where nobody asks for less


def write_word_files(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the tokenizer's file and a config.json into ``folder``.

    Raises:
        CheckpointError: the tokenizer is of none of sentence-transformers' classes.
    """
    tokenizer = checkpoint.model[0].tokenizer
    if isinstance(tokenizer, TransformersTokenizerWrapper):
        _write_pieces(checkpoint, tokenizer.tokenizer, folder)
    else:
        write_words(folder / WORDS_FILE, _rules(tokenizer), vocabulary_of(checkpoint))
    config = {"model_type": type(checkpoint.model[0]).__name__, "pad_token_id": 0}
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def vocabulary_of(checkpoint: Checkpoint) -> list[str]:
    """The words, each at the place of its id; empty where they are a transformer's pieces.

    Raises:
        CheckpointError: there are more words than vectors.
    """
    first = checkpoint.model[0]
    if isinstance(first.tokenizer, TransformersTokenizerWrapper):
        return []
    words = list(first.tokenizer.get_vocab())
    rows = len(words) if isinstance(first, BoW) else int(first.emb_layer.num_embeddings)
    if len(words) > rows:
        raise CheckpointError(
            f"the tokenizer has {len(words)} words, but WordEmbeddings has vectors of {rows}: "
            "one of the two files is of another checkpoint"
        )
    return words


def max_seq_length(checkpoint: Checkpoint) -> int | None:
    """Words after which a text is cut; None: never.

    Raises:
        CheckpointError: sentence-transformers would cut special tokens off.
    """
    limit = checkpoint.model.max_seq_length
    if limit is None or limit >= _UNLIMITED:
        return None
    tokenizer = checkpoint.model[0].tokenizer
    if isinstance(tokenizer, TransformersTokenizerWrapper) and tokenizer.tokenizer.num_special_tokens_to_add():
        raise CheckpointError(
            f"wordembedding_config.json has max_seq_length {limit}, by which sentence-transformers cuts the special tokens at "
            f"the end of longer texts off: set it to {_UNLIMITED}, or take a tokenizer that adds none"
        )
    return int(limit)


def _rules(tokenizer: Any) -> WordRules:
    if isinstance(tokenizer, WhitespaceTokenizer):
        return WordRules(
            split="whitespace", lowercase=bool(tokenizer.do_lower_case), stop_words=tuple(sorted(tokenizer.stop_words))
        )
    if isinstance(tokenizer, PhraseTokenizer):
        return WordRules(
            split="phrases",
            stop_words=tuple(sorted(tokenizer.stop_words)),
            phrase_separator=tokenizer.ngram_separator,
            longest_phrase=int(tokenizer.max_ngram_length),
        )
    raise CheckpointError(
        f"wordembedding_config.json has tokenizer_class {type(tokenizer).__name__}; the exporter takes WhitespaceTokenizer, "
        "PhraseTokenizer and TransformersTokenizerWrapper"
    )


def _write_pieces(checkpoint: Checkpoint, tokenizer: Any, folder: Path) -> None:
    backend, limit = backend_of(tokenizer, checkpoint.source.model), max_seq_length(checkpoint)
    write_tokenizer(Tokenizer.from_str(backend.to_str()), folder, max_seq_length=limit, truncation_side="right")
