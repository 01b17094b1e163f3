"""Pooling as a product, against sentence-transformers' own Pooling."""

import pytest
import torch
from embedrt_export.modules.pooling import ProductPooling
from embedrt_export.source.loading import POOLING_MODES
from sentence_transformers.sentence_transformer.modules import Pooling

RIGHT = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]])
LEFT = RIGHT.flip(1)
CONCATENATIONS = (("mean", "max"), ("cls", "lasttoken", "weightedmean"), POOLING_MODES)


@pytest.mark.parametrize("modes", [(mode,) for mode in POOLING_MODES] + [*CONCATENATIONS], ids="+".join)
@pytest.mark.parametrize("mask", [RIGHT, LEFT], ids=["right", "left"])
def test_every_mode_is_sentence_transformers(modes: tuple[str, ...], mask: torch.Tensor) -> None:
    hidden = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    expected = Pooling(7, pooling_mode=modes)({"token_embeddings": hidden.clone(), "attention_mask": mask})
    found = ProductPooling(modes)(hidden, mask, mask)
    torch.testing.assert_close(found, expected["sentence_embedding"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", POOLING_MODES)
@pytest.mark.parametrize("mask", [RIGHT[:2], LEFT[:2]], ids=["right", "left"])
def test_a_prompt_left_out_is_sentence_transformers(mode: str, mask: torch.Tensor) -> None:
    hidden = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(1))
    features = {"token_embeddings": hidden.clone(), "attention_mask": mask.clone(), "prompt_length": 1}
    expected = Pooling(7, pooling_mode=mode, include_prompt=False)(features)["sentence_embedding"]
    pooling_mask = torch.where(mask.cumsum(1) > 1, mask, 0)
    torch.testing.assert_close(ProductPooling([mode])(hidden, mask, pooling_mask), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("modes", [(mode,) for mode in POOLING_MODES] + [*CONCATENATIONS], ids="+".join)
def test_where_direction_alone_counts_it_is_the_same(modes: tuple[str, ...]) -> None:
    """Vectors that come out at length 1 may be sums instead of means; parts of one vector keep their share of it."""
    hidden = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(2))
    pooling_mask = torch.where(RIGHT.cumsum(1) > 1, RIGHT, 0)  # nothing is left of the last
    normalize = torch.nn.functional.normalize
    expected = normalize(ProductPooling(modes)(hidden, RIGHT, pooling_mask)[:2])
    found = ProductPooling(modes, direction_alone=True)(hidden, RIGHT, pooling_mask)
    torch.testing.assert_close(normalize(found[:2]), expected, rtol=0, atol=1e-6)
    if "max" not in modes:
        assert not found[2].any()
