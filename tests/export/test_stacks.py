"""Random legal stacks of modules, tokenizer settings and texts: ours and sentence-transformers' vectors, side by side."""

import json
import tempfile
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import CNN, LayerNorm, Pooling
from torch import nn

from embedrt import SentenceEncoder

WIDTH = 32
MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
ACTIVATIONS = (nn.Tanh, nn.Identity, nn.ReLU, nn.GELU, nn.Sigmoid, nn.SiLU)
WORDS = ["cat", "roof", "password", "the", "sleeps", "?", "忘记", "unknown", "RESET", "  ", "猫", "."]

texts = st.lists(
    st.one_of(st.text(max_size=30), st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)), min_size=1, max_size=9
)
behind = st.lists(
    st.one_of(
        st.tuples(st.just("dense"), st.integers(4, 40), st.sampled_from(ACTIVATIONS), st.booleans(), st.booleans()),
        st.just(("norm",)),
    ),
    max_size=3,
)
stacks = st.fixed_dictionaries(
    {
        "modes": st.lists(st.sampled_from(MODES), min_size=1, max_size=3, unique=True),
        "convolution": st.booleans(),
        "behind": behind,
        "normalize": st.booleans(),
        "include_prompt": st.booleans(),
        "prompt": st.sampled_from(["", "how do i ", "猫"]),
        "max_length": st.integers(4, 40),
        "padding_side": st.sampled_from(["left", "right"]),
        "truncation_side": st.sampled_from(["left", "right"]),
        "lower": st.booleans(),
        "seed": st.integers(0, 2**16),
    }
)  # fmt: skip


def save(stack: dict[str, Any], plain: Path, folder: Path) -> Path:
    """The stack as sentence-transformers saves it."""
    torch.manual_seed(stack["seed"])
    transformer = Transformer(str(plain), max_seq_length=stack["max_length"], do_lower_case=stack["lower"])
    before = [CNN(WIDTH, out_channels=12, kernel_sizes=[1, 3])] if stack["convolution"] else []
    width = 24 if before else WIDTH
    modules = [
        transformer,
        *before,
        Pooling(width, pooling_mode=tuple(stack["modes"]), include_prompt=stack["include_prompt"]),
    ]
    width *= len(stack["modes"])
    for kind, *options in stack["behind"]:
        if kind == "norm":
            modules.append(LayerNorm(width))
            continue
        out, activation, bias, residual = options
        modules.append(Dense(width, out, bias=bias, activation_function=activation(), use_residual=residual))
        width = out
    modules += [Normalize()] if stack["normalize"] else []
    prompts = {"query": stack["prompt"]} if stack["prompt"] else {}
    SentenceTransformer(modules=modules, device="cpu", prompts=prompts).save(str(folder))
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    sides = {name: stack[name] for name in ("padding_side", "truncation_side")}
    (folder / "tokenizer_config.json").write_text(json.dumps(config | sides), encoding="utf-8")
    return folder


def compare(stack: dict[str, Any], sentences: list[str], plain: Path) -> None:
    """Export the stack, and compare ids and vectors, plain and behind the prompt; a text's vector has the same bits alone."""
    with tempfile.TemporaryDirectory() as place:
        checkpoint, out = save(stack, plain, Path(place) / "checkpoint"), Path(place) / "out"
        embedrt_export.export(str(checkpoint), out, quiet=True)
        theirs = SentenceTransformer(str(checkpoint), device="cpu")
        assert theirs.tokenizer.padding_side == stack["padding_side"]
        assert theirs.tokenizer.truncation_side == stack["truncation_side"]
        with SentenceEncoder(out) as ours:
            for text, row in zip(sentences, ours.tokenize(sentences), strict=True):
                assert row.tolist() == theirs.tokenizer(text, truncation=True)["input_ids"]
            for prompt in ("", *([stack["prompt"]] if stack["prompt"] else [])):
                # one by one: convolutions of theirs see padding; neither gives numbers where a prompt leaves no token to pool
                expected = theirs.encode(sentences, prompt=prompt, batch_size=1)
                found = ours.encode(sentences, prompt=prompt)
                pooled = np.isfinite(expected).all(axis=1)
                lengths = np.maximum(np.linalg.norm(expected[pooled], axis=1, keepdims=True), 1)
                np.testing.assert_allclose(found[pooled] / lengths, expected[pooled] / lengths, rtol=0, atol=1e-5)
                np.testing.assert_array_equal(ours.encode(sentences[0], prompt=prompt), found[0])


COMMON = {
    "phases": [Phase.explicit, Phase.generate],
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "derandomize": True,
    "database": None,
}


@settings(max_examples=4, **COMMON)  # type: ignore[arg-type]
@given(stack=stacks, sentences=texts)
def test_stacks(plain_bert: Path, stack: dict[str, Any], sentences: list[str]) -> None:
    compare(stack, sentences, plain_bert)


@pytest.mark.slow
@settings(max_examples=60, **COMMON)  # type: ignore[arg-type]
@given(stack=stacks, sentences=texts)
def test_many_stacks(plain_bert: Path, stack: dict[str, Any], sentences: list[str]) -> None:
    compare(stack, sentences, plain_bert)
