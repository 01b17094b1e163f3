"""The real all-MiniLM-L6-v2, distilled here and by model2vec: the same table, and the published cost of it."""

import numpy as np
import pytest
from embedrt_bench.models.minilm import checkpoint_folder
from embedrt_bench.scenarios.sts import spearman
from embedrt_bench.texts.data import data_folder, sts_benchmark
from embedrt_export.changes.distillation import distilled
from embedrt_export.source.loading import load_checkpoint
from model2vec.distill import distill

DATA = data_folder()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(DATA is None, reason="the STS files are not at hand: set EMBEDRT_DATA"),
    pytest.mark.filterwarnings("ignore"),
]


def test_the_table_is_model2vecs() -> None:
    assert DATA is not None
    ours = distilled(load_checkpoint(str(checkpoint_folder())), 256, quiet=True)
    theirs = distill(str(checkpoint_folder()), pca_dims=256, quantize_to="float32", device="cpu")
    table = ours.model[0].embedding.weight.detach().numpy()
    assert ours.model[0].tokenizer.get_vocab() == theirs.tokenizer.get_vocab()
    np.testing.assert_allclose(table, theirs.embedding, rtol=0, atol=1e-4 * np.abs(theirs.embedding).max())
    pairs = sts_benchmark(DATA)
    assert spearman(ours.model.encode, pairs) == pytest.approx(spearman(theirs.encode, pairs), abs=0.01)
