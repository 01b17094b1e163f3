"""Vectors of a graph against those of its original: what a comparison that fails says."""

import re

import numpy as np
import pytest
from embedrt_export.parity.comparison import compare_runs

from embedrt.errors import ParityError


def test_another_width() -> None:
    vectors = np.ones((2, 8), dtype=np.float32)
    sentence = "vectors have 8 components, and those that they were compared with 12: pass the model that"
    with pytest.raises(ParityError, match=sentence):
        compare_runs({1: vectors}, {1: np.ones((2, 12), dtype=np.float32)}, reference="org/other", texts=("a", "b"))


def test_a_long_text_is_cut_within_its_quotes() -> None:
    vectors, shown = np.ones((1, 8), dtype=np.float32), "é\n" * 30
    compared = compare_runs({1: vectors}, {1: vectors + 1}, reference="org/model", texts=("é\n" * 100,))
    with pytest.raises(ParityError, match=re.escape(f"worst text {shown!r} in batches of 1")):
        compared.require()
