"""The real all-MiniLM-L6-v2, trimmed to the STS sentences: they have the same bits."""

from pathlib import Path

import embedrt_export
import numpy as np
import pytest
from embedrt_bench.models.minilm import checkpoint_folder
from embedrt_bench.texts.data import data_folder, sts_texts
from embedrt_export.changes import Changes

from embedrt import SentenceEncoder

DATA = data_folder()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(DATA is None, reason="the STS files are not at hand: set EMBEDRT_DATA"),
]


def test_all_sts_sentences_keep_their_bits(tmp_path: Path) -> None:
    assert DATA is not None
    sentences = sts_texts(DATA)
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(sentences), encoding="utf-8")
    changes = Changes(keep_vocabulary_of=(texts,))
    embedrt_export.export(str(checkpoint_folder()), tmp_path / "whole", quiet=True)
    manifest = embedrt_export.export(str(checkpoint_folder()), tmp_path / "small", changes=changes, quiet=True)
    assert manifest.source.derivation is not None
    assert manifest.source.derivation.trimming is not None
    assert manifest.source.derivation.trimming.bytes_saved > 20_000_000
    with SentenceEncoder(tmp_path / "whole") as whole, SentenceEncoder(tmp_path / "small") as small:
        some = sentences[::5]
        np.testing.assert_array_equal(small.encode(some), whole.encode(some))
