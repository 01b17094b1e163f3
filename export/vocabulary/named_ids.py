"""Tokens that modules behind the transformer name by their ids: words that late interaction skips, a reranker's yes and no."""

from collections.abc import Iterator, Mapping
from typing import Any

from sentence_transformers.cross_encoder.modules import LogitScore
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

__all__ = ["named_ids", "rename_in_modules"]

_ANSWERS = ("true_token_id", "false_token_id")


def named_ids(model: Any) -> set[int]:
    """All of them: they have to stay."""
    found: set[int] = set()
    for module in _naming(model):
        if isinstance(module, LogitScore):
            found |= {getattr(module, name) for name in _ANSWERS if getattr(module, name) is not None}
        else:
            found |= set(module.keep_only_token_ids or ())
            found |= set() if module._skiplist_ids is None else set(module._skiplist_ids.tolist())  # noqa: SLF001
    return found


def rename_in_modules(model: Any, new: Mapping[int, int]) -> None:
    """Give them their new ids."""
    for module in _naming(model):
        if isinstance(module, LogitScore):
            for name in _ANSWERS:
                if getattr(module, name) is not None:
                    setattr(module, name, new[getattr(module, name)])
            continue
        if module.keep_only_token_ids is not None:
            module.keep_only_token_ids = [new[number] for number in module.keep_only_token_ids]
        if (ids := module._skiplist_ids) is not None:  # noqa: SLF001  resolved when the model was built
            module._skiplist_ids = ids.new_tensor([new[number] for number in ids.tolist()])  # noqa: SLF001


def _naming(model: Any) -> Iterator[Any]:
    return (module for module in model.modules() if isinstance(module, LogitScore | MultiVectorMask))
