"""Every module that can follow a transformer, grafted, against sentence-transformers itself."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from embedrt_export.graft import GraftOptions, graft
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm
from torch import nn

from embedrt import SentenceEncoder

Folder = Callable[..., Path]
WIDTH = 32
TEXTS = [
    "how do i reset my password ?",
    "",
    "the cat sleeps on the roof .",
    "忘记密码怎么办",
    "a " * 60,
    "cat",
    "猫 cat roofs",
]


def _assert_equal(folder: Path, out: Path, **prompt: Any) -> npt.NDArray[np.float32]:
    model = SentenceTransformer(str(folder), device="cpu")
    expected: npt.NDArray[np.float32] = model.encode(TEXTS, batch_size=3, **prompt)
    found = SentenceEncoder(out).encode(TEXTS, **prompt)
    assert found.shape == expected.shape
    lengths = np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1)  # the guarantee is on unit vectors
    np.testing.assert_allclose(found / lengths, expected / lengths, rtol=0, atol=1e-5)
    distinct = len(np.unique(expected.round(3), axis=0))
    assert distinct == len(TEXTS), "texts that look alike prove little"
    return expected


@pytest.mark.parametrize(
    "pooling",
    [
        "mean",
        "cls",
        "max",
        "mean_sqrt_len_tokens",
        "weightedmean",
        "lasttoken",
        ("cls", "mean"),
        ("max", "lasttoken", "mean"),
    ],
)
def test_every_pooling(build_folder: Folder, tmp_path: Path, pooling: str | Sequence[str]) -> None:
    folder = build_folder(pooling)
    manifest = graft(folder, tmp_path / "out", quiet=True)
    assert manifest.serving.pooling == ((pooling,) if isinstance(pooling, str) else pooling)
    assert manifest.serving.dimension == WIDTH * len(manifest.serving.pooling)
    assert manifest.variants["fp32"].parity.max_abs_difference <= 1e-5
    _assert_equal(folder, tmp_path / "out")


@pytest.mark.parametrize(
    "finish",
    [
        lambda: [Normalize()],
        lambda: [Dense(WIDTH, 12, activation_function=nn.Tanh()), Normalize()],
        lambda: [LayerNorm(WIDTH), Dropout(0.3), Dense(WIDTH, 48, bias=False, activation_function=nn.GELU())],
        lambda: [
            Dense(WIDTH, 16, activation_function=nn.Identity()),
            Dense(16, 8, activation_function=nn.ReLU()),
            LayerNorm(8),
        ],
        lambda: [Dense(WIDTH, WIDTH, activation_function=nn.Sigmoid(), use_residual=True), Normalize()],
        lambda: [Dense(WIDTH, 20, activation_function=nn.SiLU(), use_residual=True)],
        lambda: [Dense(WIDTH, 20, activation_function=nn.PReLU())],
    ],
    ids=["normalize", "dense-tanh", "norm-dropout-gelu", "two-dense", "residual", "residual-projected", "prelu"],
)
def test_everything_behind_pooling(build_folder: Folder, tmp_path: Path, finish: Callable[[], list[Any]]) -> None:
    torch.manual_seed(1)
    modules = finish()
    for module in modules:
        if isinstance(module, LayerNorm):  # an untrained one has scale 1 and shift 0
            nn.init.normal_(module.norm.weight)
            nn.init.normal_(module.norm.bias)
    folder = build_folder("mean", modules)
    manifest = graft(folder, tmp_path / "out", quiet=True)
    assert manifest.serving.normalize is isinstance(modules[-1], Normalize)
    _assert_equal(folder, tmp_path / "out")


def test_modules_on_tokens(build_folder: Folder, tmp_path: Path) -> None:
    torch.manual_seed(1)
    name = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
    folder = build_folder(
        "weightedmean", [Normalize()], on_tokens=[Dense(WIDTH, 24, **name), Normalize(**name)], width=24
    )
    graft(folder, tmp_path / "out", quiet=True)
    _assert_equal(folder, tmp_path / "out")


def test_prompts_and_their_exclusion(build_folder: Folder, tmp_path: Path) -> None:
    prompts = {"query": "how do i ", "document": ""}
    options = {"prompts": prompts, "default_prompt_name": "query", "similarity_fn_name": "dot"}
    folder = build_folder(("mean", "weightedmean", "cls"), [Normalize()], include_prompt=False, **options)
    serving = graft(folder, tmp_path / "out", quiet=True).serving
    assert (serving.prompts, serving.default_prompt_name, serving.include_prompt) == (prompts, "query", False)
    assert serving.similarity == "dot"
    default = _assert_equal(folder, tmp_path / "out")
    other = _assert_equal(folder, tmp_path / "out", prompt="the cat ")
    none = _assert_equal(folder, tmp_path / "out", prompt_name="document")
    assert not np.allclose(default, none, atol=1e-3)
    assert not np.allclose(other, none, atol=1e-3)


def test_vectors_are_cut_where_the_checkpoint_was_saved_so(build_folder: Folder, tmp_path: Path) -> None:
    folder = build_folder("mean", [Normalize()], truncate_dim=10)
    serving = graft(folder, tmp_path / "out", quiet=True).serving
    assert (serving.dimension, serving.normalize) == (10, False)
    _assert_equal(folder, tmp_path / "out")


@pytest.mark.parametrize("flags", [["mean"], ["cls", "max"], []], ids=["mean", "cls-max", "none"])
def test_names_of_older_versions(build_folder: Folder, tmp_path: Path, flags: list[str]) -> None:
    """What 2.x wrote: flags for modes, class names of another place, a folder for the transformer's limits."""
    folder = build_folder("mean", [Normalize()])
    names = {
        "cls": "pooling_mode_cls_token",
        **{mode: f"pooling_mode_{mode}_tokens" for mode in ("mean", "max", "mean_sqrt_len")},
    }
    old = {"word_embedding_dimension": WIDTH, **{key: mode in flags for mode, key in names.items()}}
    (folder / "1_Pooling/config.json").write_text(json.dumps(old))
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    entries = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(entries))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 20, "do_lower_case": false}')
    serving = graft(folder, tmp_path / "out", quiet=True).serving
    assert serving.pooling == (tuple(flags) or ("mean",))
    assert serving.max_seq_length == 20
    _assert_equal(folder, tmp_path / "out")


def test_company_changes_no_bit(build_folder: Folder, tmp_path: Path) -> None:
    torch.manual_seed(1)
    folder = build_folder(("mean", "cls"), [Dense(2 * WIDTH, 12), LayerNorm(12), Normalize()])
    graft(folder, tmp_path / "out", quiet=True)
    encoder = SentenceEncoder(tmp_path / "out")
    texts = [*TEXTS, *[f"cat {'roof ' * (index % 5)}{'cat ' * (index % 3)}" for index in range(40)]]
    alone = np.stack([encoder.encode(text) for text in texts])
    np.testing.assert_array_equal(encoder.encode(texts), alone)


def test_a_folder_without_modules(build_folder: Folder, tmp_path: Path) -> None:
    folder = build_folder("cls", [Normalize()])
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    (folder / "modules.json").unlink()
    (folder / "sentence_bert_config.json").unlink()
    serving = graft(folder, tmp_path / "out", options=GraftOptions(pooling=["cls"], normalize=True), quiet=True).serving
    assert (serving.pooling, serving.normalize) == (("cls",), True)
    assert serving.max_seq_length == 24  # the tokenizer was saved with the limit of its module
    np.testing.assert_allclose(SentenceEncoder(tmp_path / "out").encode(TEXTS), expected, rtol=0, atol=1e-5)
