"""Late interaction inside the graph: the scores of numpy and of sentence-transformers, in any company, in every variant."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import numpy.typing as npt
import onnx_ir
import pytest
from embedrt_export.maxsim import append_maxsim
from embedrt_export.quantization import QuantizeOptions
from sentence_transformers import MultiVectorEncoder as Original

from embedrt import MultiVectorEncoder
from embedrt.errors import InputError, ParityError
from embedrt.inference.session import QUERY_MAXIMA, GraphSession

QUERY = "How do I reset my password?"
DOCUMENTS = [
    "reset the password", "", ". ? !", "the cat sleeps on the roof. " * 12, "忘记密码怎么办", "hello, world", "a",
    "hello, world", "a man, playing: guitar!",
]  # fmt: skip
Build = Callable[..., Path]


@pytest.fixture(scope="module")
def scoring(colbert: Path, export_to: Build) -> Path:
    options = QuantizeOptions(allow_below_gate=True)
    return export_to(colbert, maxsim=True, precisions=["int8", "int8-static"], quantize_options=options)


def _scores(encoder: MultiVectorEncoder, documents: list[str], **options: Any) -> npt.NDArray[np.float64]:
    ranked = encoder.rank(QUERY, documents, **options)
    return np.array([entry["score"] for entry in sorted(ranked, key=lambda entry: int(entry["corpus_id"]))])


def test_scores_are_those_of_sentence_transformers(scoring: Path, colbert: Path) -> None:
    original = Original(str(colbert), device="cpu")
    query = original.encode_query([QUERY], show_progress_bar=False)
    stored = [original.encode_document([text], show_progress_bar=False)[0] for text in DOCUMENTS]
    expected = original.similarity(query, stored).numpy()[0]
    with MultiVectorEncoder(scoring) as encoder:
        np.testing.assert_allclose(_scores(encoder, DOCUMENTS), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", ["fp32", "int8", "int8-static"])
def test_scores_are_those_of_numpy_and_keep_their_bits(scoring: Path, variant: str) -> None:
    with MultiVectorEncoder(scoring, variant=variant) as encoder:
        together = _scores(encoder, DOCUMENTS)
        alone = np.array([_scores(encoder, [text])[0] for text in DOCUMENTS])
        pairs = _scores(encoder, DOCUMENTS, batch_size=2)
        outside = encoder.similarity(encoder.encode_query(QUERY), encoder.encode_document(DOCUMENTS))[0]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, pairs)
    np.testing.assert_allclose(together, outside, rtol=1e-5, atol=1e-5)
    assert together[5] == together[7]


def test_no_token_vector_leaves_the_graph(scoring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    run = GraphSession.run

    def noting(self: GraphSession, *arguments: Any, **options: Any) -> Any:
        asked.append(tuple(options["outputs"]))
        return run(self, *arguments, **options)

    monkeypatch.setattr(GraphSession, "run", noting)
    with MultiVectorEncoder(scoring) as encoder:
        encoder.rank(QUERY, DOCUMENTS)
    assert asked[0] == ("token_embeddings",)  # the query's
    assert set(asked[1:]) == {(QUERY_MAXIMA,)}


def test_vectors_are_as_without(scoring: Path, artifact: Path) -> None:
    with MultiVectorEncoder(scoring) as one, MultiVectorEncoder(artifact) as other:
        for found, expected in zip(one.encode_document(DOCUMENTS), other.encode_document(DOCUMENTS), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_mean_maxsim(build_colbert: Build, export_to: Build) -> None:
    checkpoint = build_colbert(similarity="meanmaxsim")
    with MultiVectorEncoder(export_to(checkpoint, maxsim=True)) as encoder:
        expected = encoder.similarity(encoder.encode_query(QUERY), encoder.encode_document(DOCUMENTS))[0]
        np.testing.assert_allclose(_scores(encoder, DOCUMENTS), expected, rtol=1e-5, atol=1e-5)


def test_verify_repeats_the_comparison(scoring: Path, colbert: Path) -> None:
    _, parity = embedrt_export.verify(scoring, against=str(colbert), quiet=True)
    assert parity.max_abs_difference < 1e-5


def test_a_graph_that_ranks_otherwise_is_not_written(
    colbert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(model: onnx_ir.Model, *, dimension: int) -> None:
        append_maxsim(model, dimension=dimension)
        next(node for node in model.graph if node.op_type == "ReduceMax").op_type = "ReduceMin"

    monkeypatch.setattr("embedrt_export.pipeline.append_maxsim", wrong)
    with pytest.raises(ParityError, match="MaxSim in the graph differs from numpy's by"):
        embedrt_export.export(str(colbert), tmp_path / "out", maxsim=True, quiet=True)
    assert not (tmp_path / "out").exists()


def test_other_kinds_are_refused(hybrid_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--maxsim is for multi-vector models, and this is a dense one"):
        embedrt_export.export(str(hybrid_checkpoint), tmp_path / "out", maxsim=True, quiet=True)
