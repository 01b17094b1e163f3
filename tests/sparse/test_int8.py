"""How faithful int8 variants of sparse encoders are, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import onnx
import pytest
from embedrt_export.parity.term_overlap import top_terms_overlap
from embedrt_export.quantization import QuantizeOptions, quantize
from embedrt_export.quantization.calibration import held_out_texts
from embedrt_export.quantization.retrieval import ndcg, retrieval_set
from embedrt_export.quantization.sts import Pairs
from sklearn.metrics import ndcg_score

from embedrt import SparseEncoder
from embedrt.artifact.manifest import Manifest
from embedrt.errors import FidelityError, InputError

Build = Callable[..., Path]


def manifest_of(artifact: Path) -> Manifest:
    return Manifest.from_json((artifact / "embedrt.json").read_bytes())


@pytest.mark.parametrize("variant", ["int8", "int8-static"])
def test_the_report_says_how_many_terms_stay(splade_artifact: Path, variant: str) -> None:
    """Counted again from the vectors that the two variants give."""
    texts = held_out_texts()
    with (
        SparseEncoder(splade_artifact, variant="fp32") as exact,
        SparseEncoder(splade_artifact, variant=variant) as other,
    ):
        pairs = list(zip(exact.decode(exact.encode(texts), 32), other.decode(other.encode(texts), 32), strict=True))
    kept = [[{token for token, _ in row} for row in pair] for pair in pairs]
    shares = [len(a & b) / max(len(a), len(b)) for a, b in kept]
    parity = manifest_of(splade_artifact).variants[variant].parity
    assert parity.measures["top_terms_overlap"] == pytest.approx(np.mean(shares))
    assert parity.measures["top_terms_overlap_min"] == pytest.approx(min(shares))
    assert 0.9 < parity.measures["top_terms_overlap"] < 1
    assert 0.99 < parity.cosine_mean < 1


def test_the_head_is_in_int8(splade_artifact: Path) -> None:
    """Its product is the largest of all, and reads what a normalization gives: one scale, known beforehand."""
    graph = onnx.load(splade_artifact / "onnx" / "model_int8.onnx").graph
    widths = {tensor.name: tensor.dims for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMulIntegerToFloat"]
    terms = manifest_of(splade_artifact).serving.dimension
    head = next(node for node in products if list(widths[node.input[1]]) == [32, terms])
    quantized = next(node for node in graph.node if head.input[0] in node.output)
    assert (quantized.op_type, quantized.input[1] in widths) == ("QuantizeLinear", True)
    assert not [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in widths]


def test_a_variant_below_the_gate_is_refused(
    splade_artifact: Path, copied: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = copied(splade_artifact)
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    with pytest.raises(
        FidelityError, match=r"of the 32 heaviest terms a text keeps 0\.9\d* in the mean, expected at least 1"
    ):
        quantize(folder, "int8", options=QuantizeOptions(gate=1.0), quiet=True)
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before


def test_the_change_of_a_search_is_in_the_report(
    splade_artifact: Path, copied: Callable[[Path], Path], tmp_path: Path
) -> None:
    pairs = [
        ("how do i reset", "reset my password"),
        ("the cat sleeps", "a cat on the roof"),
        ("rain", "rain and wind"),
    ]
    lines = [f"{score}\t{one}\t{other}" for (one, other), score in zip(pairs, (4.5, 3, 5), strict=True)]
    (tmp_path / "sts").mkdir()
    (tmp_path / "sts" / "2013.made-up.test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    folder = copied(splade_artifact)
    options = QuantizeOptions(allow_below_gate=True, sts=tmp_path / "sts")
    parity = quantize(folder, "int8", options=options, quiet=True).variants["int8"].parity
    reached = []
    for variant in ("int8", "fp32"):
        with SparseEncoder(folder, variant=variant) as encoder:
            one, other = (encoder.encode([pair[side] for pair in pairs]) for side in (0, 1))
            scores = encoder.similarity(one, other)
        reached.append(100 * ndcg_score(np.diag([4.5, 3, 5]), scores, k=10))
    assert parity.measures["ndcg_change"] == pytest.approx(reached[0] - reached[1])
    assert reached[1] < 100  # or it would say nothing


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_verify(splade: Path, splade_artifact: Path, variant: str) -> None:
    _, parity = embedrt_export.verify(splade_artifact, against=str(splade), variant=variant, quiet=True)
    assert parity.measures["top_terms_overlap"] > 0.9
    assert (parity.max_abs_difference < 1e-5) is (variant == "fp32")


def test_float16(splade_artifact: Path, copied: Callable[[Path], Path]) -> None:
    parity = quantize(copied(splade_artifact), "fp16", quiet=True).variants["fp16"].parity
    assert parity.cosine_min > 0.9999


def test_retrieval_set() -> None:
    pairs = Pairs(
        ["q1", "q1", "q2", "same", "q3"], ["a", "b", "c", "same", "d"], [5.0, 3.0, 2.9, 5.0, 4.0]
    )  # fmt: skip
    found = retrieval_set(pairs)
    assert (found.queries, found.documents) == (["q1", "q3"], ["a", "b", "d", "c", "same"])
    np.testing.assert_array_equal(found.relevance, [[5, 3, 0, 0, 0], [0, 0, 4, 0, 0]])
    small = retrieval_set(pairs, queries=1, documents=3)
    assert (small.queries, small.documents) == (["q1"], ["a", "b", "c"])
    with pytest.raises(InputError, match="none of the 1 STS pairs has a score of 3 or more"):
        retrieval_set(Pairs(["a"], ["b"], [1.0]))


def test_ndcg_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=(20, 30))
    relevance = np.where(random.random((20, 30)) < 0.2, random.integers(0, 6, size=(20, 30)), 0).astype(np.float64)
    assert ndcg(scores, relevance) == pytest.approx(100 * ndcg_score(relevance, scores, k=10))


def test_overlap() -> None:
    a: Any = np.array([[5, 4, 3, 0], [0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]], np.float32)
    b: Any = np.array([[5, 0, 4, 3], [0, 0, 0, 0], [0, 0, 0, 0], [1, 2, 0, 0]], np.float32)
    np.testing.assert_allclose(top_terms_overlap(a, b, top=2), [0.5, 1, 0, 0.5])
    np.testing.assert_allclose(top_terms_overlap(a, b), [2 / 3, 1, 0, 0.5])
