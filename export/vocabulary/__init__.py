"""Vocabulary trimming: a checkpoint without the pieces that its user's texts never need.

    texts ──usage──▶ used pieces ──closure──▶ kept pieces ──renumber──▶ tokenizer.json
                                                         └──trim──────▶ embedding table, head, ids in config.json

Whatever the texts consist of is cut exactly as before and has exactly the same vector; :mod:`closure` says why, for each of
the tokenizer models. Other texts are cut into smaller pieces, down to single characters or bytes.
"""

from embedrt_export.vocabulary.plain import plain_tokenizer
from embedrt_export.vocabulary.trim import Trimmed, keep_tokens, trim

__all__ = ["Trimmed", "keep_tokens", "plain_tokenizer", "trim"]
