"""What ONNX Runtime says of a run that failed, in a sentence that tells what to do."""

import numpy as np
import pytest

from embedrt.inference.failures import why_not_run

BEYOND = "running Gather node. indices element out of data bounds, "
UNEXPLAINED = "the graph cannot be run on input_ids of shape (1, 3): running Gather"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            f"{BEYOND}idx=9 must be within the inclusive range [-8,7]",
            "the tokenizer gives id 9, and the model has vectors for ids up to 7 only: ",
        ),
        (
            f"{BEYOND}idx=4 must be within the inclusive range [-4,3]",
            UNEXPLAINED,
        ),
        (
            f"{BEYOND}idx=8 must be within the inclusive range [-8,7]",
            UNEXPLAINED,
        ),
        (
            "bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 1394553856",
            "memory is not enough to run 1 texts of 3 tokens: have them cut shorter",
        ),
        ("out of memory", "the graph cannot be run on input_ids of shape (1, 3): out of memory"),
    ],
    ids=["a token", "a position, as well as a token", "no token", "no memory", "something else"],
)
def test_one_sentence(error: str, expected: str) -> None:
    assert why_not_run(np.array([[2, 4, 9]]), error).startswith(expected)
