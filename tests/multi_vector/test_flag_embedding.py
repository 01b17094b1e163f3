"""BGE-M3 against FlagEmbedding itself, where it is installed: pip install FlagEmbedding (it brings datasets, peft and others)."""

import sys
import types
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedrt import HybridEncoder
from embedrt.multi_vector.late_interaction import mean_maxsim

TEXTS = ["How do I reset my password?", "the cat sleeps on the roof " * 20, "忘记密码怎么办", "hello hello world", "."]


class _Nothing(types.ModuleType):
    """A module that has every name."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _WithoutRerankers:
    """FlagEmbedding's decoder rerankers import what transformers 5.24 has not any more, and nothing here needs them."""

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: object = None) -> ModuleSpec | None:
        wanted = name.startswith("FlagEmbedding.inference.reranker.decoder_only")
        return ModuleSpec(name, self, is_package=True) if wanted else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return _Nothing(spec.name)

    def exec_module(self, _module: types.ModuleType) -> None:
        pass


@pytest.fixture
def flag() -> Iterator[Any]:
    if find_spec("FlagEmbedding") is None:
        pytest.skip("FlagEmbedding is not installed: type pip install FlagEmbedding")
    finder: Any = _WithoutRerankers()
    sys.meta_path.insert(0, finder)
    try:
        import FlagEmbedding  # type: ignore[import-not-found, unused-ignore]

        yield FlagEmbedding
    finally:
        sys.meta_path.remove(finder)


@pytest.mark.filterwarnings("ignore")
def test_all_three_kinds(flag: Any, hybrid_artifact: Path, hybrid_checkpoint: Path) -> None:
    original = flag.BGEM3FlagModel(str(hybrid_checkpoint), use_fp16=False, devices="cpu")
    asked = {"return_dense": True, "return_sparse": True, "return_colbert_vecs": True}
    expected = original.encode(TEXTS, batch_size=2, max_length=48, **asked)
    with HybridEncoder(hybrid_artifact) as encoder:
        found = encoder.encode(TEXTS)
    assert found.dense is not None
    assert found.sparse is not None
    assert found.multi_vector is not None
    np.testing.assert_allclose(found.dense, expected["dense_vecs"], atol=1e-5)
    for terms, weights in zip(found.sparse.to_dicts(), expected["lexical_weights"], strict=True):
        assert terms.keys() == {int(number) for number in weights}
        np.testing.assert_allclose([terms[int(number)] for number in weights], list(weights.values()), atol=1e-5)
    for vectors, theirs in zip(found.multi_vector, expected["colbert_vecs"], strict=True):
        np.testing.assert_allclose(vectors, theirs, atol=1e-5)
    score = float(original.colbert_score(expected["colbert_vecs"][0], expected["colbert_vecs"][1]))
    np.testing.assert_allclose(mean_maxsim(found.multi_vector[0], found.multi_vector[1])[0, 0], score, atol=1e-5)
