"""A loaded transformer with some rows of its embedding table, and of a masked-LM head: everything that counts pieces follows."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from embedrt.errors import CheckpointError

__all__ = ["count_positions_from_padding", "keep_rows", "rename_ids"]


def keep_rows(transformer: Any, kept: Sequence[int]) -> int:
    """Keep the rows ``kept``, ascending, of the input embeddings and of an output head; gives the bytes that went.

    Ids beyond the table, of tokens that the checkpoint never made room for, have no row before and none after.

    Raises:
        CheckpointError: the architecture does not say where its table is.
    """
    before = _bytes(transformer)
    table, head = _table(transformer), transformer.get_output_embeddings()
    rows = torch.tensor([number for number in kept if number < table.num_embeddings])
    counted = [table.weight]
    if head is not None:
        counted += [] if head.weight is table.weight else [head.weight]
        counted += [] if head.bias is None else [head.bias]
    with torch.no_grad():
        for weight in counted:
            weight[: len(rows)] = weight[rows]
    transformer.resize_token_embeddings(len(rows))
    return before - _bytes(transformer)


def _table(transformer: Any) -> Any:
    try:
        return transformer.get_input_embeddings()
    except NotImplementedError as error:
        name = type(transformer).__name__
        raise CheckpointError(
            f"{name} does not say where its word embeddings are: its vocabulary cannot be trimmed"
        ) from error


def _bytes(transformer: Any) -> int:
    return sum(weight.nbytes for weight in transformer.parameters())


def rename_ids(transformer: Any, new: Mapping[int, int]) -> None:
    """Give special tokens their new ids wherever the configuration and the modules name them.

    Only ids of ``new`` are known as special tokens; others (CLIP's old files have an ``eos_token_id`` that is none) stay.
    """
    for config in {id(part): part for part in (transformer.config, transformer.config.get_text_config())}.values():
        for name, value in list(vars(config).items()):
            if name.endswith("_token_id"):
                setattr(config, name, _renamed(value, new))
    table = transformer.get_input_embeddings()
    for module in transformer.modules():
        for name in ("padding_idx", "eos_token_id"):
            if name in vars(module) and (module is table or not isinstance(module, nn.Embedding)):
                setattr(module, name, _renamed(getattr(module, name), new))


def _renamed(value: Any, new: Mapping[int, int]) -> Any:
    if isinstance(value, list):
        return [_renamed(item, new) for item in value]
    return new.get(value, value) if isinstance(value, int) else value


def count_positions_from_padding(transformer: Any) -> bool:
    """Whether positions begin behind the id of padding (RoBERTa's way), so that this id has to stay what it is."""
    return any(
        "padding_idx" in vars(module) for module in transformer.modules() if not isinstance(module, nn.Embedding)
    )
