"""What a checkpoint does to queries and documents, as the manifest has it, against sentence-transformers' own features."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from embedrt_export.kinds import KINDS
from embedrt_export.source.loading import load_checkpoint
from sentence_transformers import MultiVectorEncoder as Original
from sentence_transformers.base.modules import Normalize
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

from embedrt.artifact.manifest import Serving
from embedrt.errors import CheckpointError
from embedrt.multi_vector.roles import ROLES, Role, Roles
from embedrt.prompts import prompt_for, prompt_name_for
from embedrt.text.tokenizer import TextTokenizer

Build = Callable[..., Path]
UNIT = Normalize(module_input_name="token_embeddings")
TEXTS = [
    "How do I reset my password?",
    "",
    "the cat sleeps on the roof. " * 12,
    "忘记密码怎么办",
    "hello, cat",
    ". ? !",
]
FIXED = {"strategy": "fixed", "length": 12}
MIN = {"strategy": "min", "length": 9}
NAMED: dict[str, dict[str, Any]] = {
    "fixed": {"query_expansion": FIXED, "document_length": 30},
    "attended": {"query_expansion": {**FIXED, "attend": True}},
    "at least": {"query_expansion": MIN},
    "at least, another token": {"query_expansion": {**MIN, "token": "hello"}, "query_length": 14},
    "lengths": {"query_length": 8, "document_length": 50},
    "beyond all positions": {"document_length": 500},
    "skipped in queries": {
        "mask": MultiVectorMask(["cat"], skiplist_tasks=["query", "document"]),
        "query_expansion": FIXED,
    },
    "unknown words skipped": {"mask": MultiVectorMask(["elephant", "cat"])},
    "kept only": {"mask": MultiVectorMask(keep_only_token_ids=[20, 21, 22])},
    "no mask": {"modules": [UNIT], "query_expansion": FIXED},
    "no mask, attended": {"modules": [UNIT], "query_expansion": {**FIXED, "attend": True}},
}


def _tokenizer(checkpoint: Any, serving: Serving, place: Path) -> TextTokenizer:
    checkpoint.tokenizer.save_pretrained(place)
    return TextTokenizer(place / "tokenizer.json", max_seq_length=serving.max_seq_length)


def _features(original: Any, text: str, task: Role | None) -> tuple[list[int], list[int]]:
    """Ids of the tokens that attention sees, and of those that are scored."""
    name = task if task in original.prompts else original.default_prompt_name
    features = original.preprocess([text], prompt=original.prompts.get(name) or None, task=task)
    ids = features["input_ids"][0]
    seen = ids[features["attention_mask"][0].bool()].tolist()
    for module in original:
        if isinstance(module, MultiVectorMask):
            features = module(features, task=task)
    return seen, ids[features["attention_mask"][0].bool()].tolist()


@pytest.mark.parametrize("name", NAMED)
def test_tokens_of_every_role(build_colbert: Build, tmp_path: Path, name: str) -> None:
    folder = build_colbert(**NAMED[name])
    checkpoint = load_checkpoint(str(folder))
    serving = KINDS["multi-vector"].serving(checkpoint)
    assert serving.multi_vector is not None
    roles, original = (
        Roles(_tokenizer(checkpoint, serving, tmp_path), serving.multi_vector),
        Original(str(folder), device="cpu"),
    )
    if name == "beyond all positions":  # 64, which sentence-transformers runs into
        original[0].document_length = 64
    for role in (*ROLES, None):
        prefix = prompt_for(serving, prompt_name=prompt_name_for(serving, role) if role is not None else None)
        rows = roles.rows([prefix + text for text in TEXTS], role)
        for index, text in enumerate(TEXTS):
            ids = rows.tokens.row(index)
            seen = len(ids) if rows.tokens.attended is None else rows.tokens.attended[index]
            assert (ids[:seen].tolist(), ids[rows.of(index)].tolist()) == _features(original, text, role), (role, text)


def test_what_cannot_be_expanded_is_refused(build_colbert: Build) -> None:
    checkpoint = load_checkpoint(str(build_colbert(query_expansion={"strategy": "fixed", "length": 100})))
    with pytest.raises(CheckpointError, match="up to 100 tokens, but the model has position vectors for 64"):
        KINDS["multi-vector"].serving(checkpoint)
    checkpoint = load_checkpoint(str(build_colbert(modules=[MultiVectorMask(), MultiVectorMask(), UNIT])))
    with pytest.raises(CheckpointError, match="lists 2 modules MultiVectorMask"):
        KINDS["multi-vector"].serving(checkpoint)
