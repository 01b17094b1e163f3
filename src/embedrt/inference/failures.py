"""What ONNX Runtime says of a run that failed, in a sentence that tells what to do; pure, ``session.py`` asks."""

import re

import numpy as np
import numpy.typing as npt

__all__ = ["why_not_run"]

_BEYOND_TABLE = re.compile(r"idx=(\d+) must be within the inclusive range \[-\d+,(\d+)\]")
_NO_MEMORY = ("Failed to allocate memory", "bad_alloc")
_POSITIONS_BEGIN_BY = 2
"""The largest number of the first position: RoBERTa's."""


def why_not_run(input_ids: npt.NDArray[np.int64], error: str) -> str:
    """Why the graph failed on ``input_ids`` (batch, sequence) with ONNX Runtime's ``error``."""
    beyond = _BEYOND_TABLE.search(error)
    if beyond is not None:
        wanted, last = int(beyond[1]), int(beyond[2])
        if wanted >= input_ids.shape[1] + _POSITIONS_BEGIN_BY and wanted in input_ids:  # no position, a token
            return (
                f"the tokenizer gives id {wanted}, and the model has vectors for ids up to {last} only: leave the text out, or "
                "give the checkpoint more rows (resize_token_embeddings) and export it again"
            )
    if any(name in error for name in _NO_MEMORY):
        texts, tokens = input_ids.shape
        return (
            f"memory is not enough to run {texts} texts of {tokens} tokens: have them cut shorter, where the model is opened "
            "(max_seq_length) or exported (--max-seq-length)"
        )
    return f"the graph cannot be run on input_ids of shape {input_ids.shape}: {error}"
