"""The files of sentence-transformers 2, 3 to 5, and 6: the same model, written as each of them did."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize
from torch import nn

from embedrt import SentenceEncoder

Build = Callable[..., Path]
WIDTH = 32
TEXTS = ["how do i reset my password ?", "", "The cat SLEEPS on the roof .", "忘记密码怎么办", "a " * 60]
MODES = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def as_version_2(folder: Path) -> None:
    """Module classes under sentence_transformers.models, the transformer in a folder of its own, a flag for each mode."""
    transformer = folder / "0_Transformer"
    transformer.mkdir()
    for path in list(folder.iterdir()):
        if path.is_file() and path.name not in ("modules.json", "config_sentence_transformers.json"):
            path.rename(transformer / path.name)
    write(transformer / "sentence_bert_config.json", {"max_seq_length": 20, "do_lower_case": False})
    _old_modules(folder, transformer_path="0_Transformer")
    (folder / "config_sentence_transformers.json").unlink()
    flags = {f"pooling_mode_{name}": name == "cls_token" for name in MODES[:4]}
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH, **flags})


def as_version_3(folder: Path) -> None:
    """The transformer at the root, flags for two modes, prompts in config_sentence_transformers.json."""
    write(folder / "sentence_bert_config.json", {"max_seq_length": 20, "do_lower_case": False})
    _old_modules(folder, transformer_path="")
    write(
        folder / "config_sentence_transformers.json",
        {
            "__version__": {"sentence_transformers": "3.0.1", "transformers": "4.41.2", "pytorch": "2.3.0"},
            "prompts": {"query": "how do i "}, "default_prompt_name": None, "similarity_fn_name": "dot",
        },
    )  # fmt: skip
    flags = {f"pooling_mode_{name}": name in ("max_tokens", "mean_tokens") for name in MODES}
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH, **flags, "include_prompt": True})


def _old_modules(folder: Path, *, transformer_path: str) -> None:
    paths = (transformer_path, "1_Pooling", "2_Dense", "3_Normalize")
    kinds = ("Transformer", "Pooling", "Dense", "Normalize")
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(zip(paths, kinds, strict=True))
    ]
    write(folder / "modules.json", modules)
    dense = json.loads((folder / "2_Dense" / "config.json").read_text(encoding="utf-8"))
    old = {key: dense[key] for key in ("in_features", "out_features", "bias")}
    write(folder / "2_Dense" / "config.json", {**old, "activation_function": "torch.nn.modules.activation.Tanh"})


FORMATS: dict[str, tuple[Callable[[Path], None], Any, dict[str, Any]]] = {
    "2": (as_version_2, "cls", {"pooling": ("cls",), "similarity": "cosine", "prompts": {}}),
    "3 to 5": (
        as_version_3,
        ("max", "mean"),
        {"similarity": "dot", "prompts": {"query": "how do i "}},
    ),
    "6": (lambda _folder: None, "weightedmean", {"pooling": ("weightedmean",)}),
}


@pytest.mark.parametrize("version", FORMATS)
def test_a_format(build_checkpoint: Build, tmp_path: Path, version: str) -> None:
    rewrite, pooling, expected = FORMATS[version]
    width = WIDTH * (1 if isinstance(pooling, str) else len(pooling))
    checkpoint = build_checkpoint(pooling, [Dense(width, 12, activation_function=nn.Tanh()), Normalize()])
    rewrite(checkpoint)
    theirs = SentenceTransformer(str(checkpoint), device="cpu")
    manifest = embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    found = {name: getattr(manifest.serving, name) for name in expected}
    assert {**found, "prompts": {key: text for key, text in found.get("prompts", {}).items() if text}} == {
        "prompts": {},
        **expected,
    }
    assert manifest.serving.max_seq_length == theirs.max_seq_length == (24 if version == "6" else 20)
    with SentenceEncoder(tmp_path / "out") as ours:
        np.testing.assert_allclose(ours.encode(TEXTS), theirs.encode(TEXTS), rtol=0, atol=1e-5)
        np.testing.assert_allclose(ours.encode_query(TEXTS), theirs.encode_query(TEXTS), rtol=0, atol=1e-5)


@pytest.mark.parametrize("lower", [True, False])
def test_lowercasing_that_only_the_checkpoint_asks_for(build_checkpoint: Build, tmp_path: Path, lower: bool) -> None:
    checkpoint = build_checkpoint("mean", [Normalize()])
    tokenizer = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["normalizer"]["lowercase"] = False
    write(checkpoint / "tokenizer.json", tokenizer)
    config = json.loads((checkpoint / "tokenizer_config.json").read_text(encoding="utf-8"))
    write(checkpoint / "tokenizer_config.json", config | {"do_lower_case": False})
    write(checkpoint / "sentence_bert_config.json", {"max_seq_length": 20, "do_lower_case": lower})
    theirs = SentenceTransformer(str(checkpoint), device="cpu")
    embedrt_export.export(str(checkpoint), tmp_path / "out", quiet=True)
    with SentenceEncoder(tmp_path / "out") as ours:
        for text, row in zip(TEXTS, ours.tokenize(TEXTS), strict=True):
            assert row.tolist() == theirs.tokenizer(text, truncation=True)["input_ids"]
        np.testing.assert_allclose(ours.encode(TEXTS), theirs.encode(TEXTS), rtol=0, atol=1e-5)
        same = np.allclose(ours.encode("the CAT sleeps"), ours.encode("the cat sleeps"), atol=1e-6)
        assert same == lower
