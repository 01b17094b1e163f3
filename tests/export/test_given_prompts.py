"""Prompts that a checkpoint does not carry, given at the export: in the manifest, and as sentence-transformers has them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from embedrt_bench.compatibility.multi_vector import save_colbert
from embedrt_export.changes import Changes
from embedrt_export.pipeline import export, verify
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize

from embedrt import SentenceEncoder
from embedrt.artifact.manifest import Manifest
from embedrt.errors import CheckpointError, InputError

Build = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]
GIVEN = {"query": "how do i ", "passage": "the cat "}
TEXTS = ["reset my password", "the roof .", "忘记密码怎么办"]


def test_they_are_those_of_sentence_transformers(build_checkpoint: Build, tmp_path: Path) -> None:
    checkpoint = build_checkpoint("mean", [Normalize()])
    changes = Changes(prompts=GIVEN, default_prompt="passage")
    manifest = export(str(checkpoint), tmp_path / "out", changes=changes, quiet=True)
    assert (manifest.serving.prompts, manifest.serving.default_prompt_name) == (GIVEN, "passage")
    derivation = manifest.source.derivation
    assert derivation is not None
    assert derivation.sentences() == ["prompts given at the export: query, passage", "passage made the default prompt"]
    original = SentenceTransformer(str(checkpoint), device="cpu", prompts=GIVEN, default_prompt_name="passage")
    with SentenceEncoder(tmp_path / "out") as encoder:
        np.testing.assert_allclose(encoder.encode_query(TEXTS), original.encode_query(TEXTS), atol=1e-6)
        documents = original.encode(TEXTS, prompt_name="passage")
        np.testing.assert_allclose(encoder.encode_document(TEXTS), documents, atol=1e-6)
        np.testing.assert_allclose(encoder.encode(TEXTS), documents, atol=1e-6)
        assert np.abs(encoder.encode_query(TEXTS) - documents).max() > 0.01
    assert verify(tmp_path / "out", against=str(checkpoint), quiet=True)[0] == manifest


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"prompts": None},
            r"^config_sentence_transformers\.json has prompts None, expected texts by name, as \{'query': ",
        ),
        (
            {"prompts": ["query: "]},
            r"^config_sentence_transformers\.json has prompts \['query: '\], expected texts by name",
        ),
        (
            {"prompts": GIVEN, "default_prompt_name": "search"},
            r"^config_sentence_transformers\.json has default_prompt_name 'search', expected one of .*\(query, passage\)",
        ),
    ],
)
def test_files_that_say_what_cannot_be(
    build_checkpoint: Build, tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    checkpoint = build_checkpoint()
    (checkpoint / "config_sentence_transformers.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(CheckpointError, match=message) as raised:
        export(str(checkpoint), tmp_path / "out", quiet=True)
    assert "Expected a folder" not in str(raised.value)


def test_their_pieces_stay_in_a_trimmed_vocabulary(build_checkpoint: Build, tmp_path: Path) -> None:
    checkpoint = build_checkpoint("mean", [Normalize()])
    texts = tmp_path / "texts.txt"
    texts.write_text("reset my password\n", encoding="utf-8")
    trimmed = Changes(prompts=GIVEN, keep_vocabulary_of=(texts,))
    export(str(checkpoint), tmp_path / "out", changes=trimmed, quiet=True)
    original = SentenceTransformer(str(checkpoint), device="cpu", prompts=GIVEN)
    with SentenceEncoder(tmp_path / "out") as encoder:
        found = encoder.encode_query("reset my password")
        np.testing.assert_allclose(found, original.encode_query("reset my password"), atol=1e-6)


def test_queries_of_late_interaction(tmp_path: Path) -> None:
    """Their parity is taken behind the prompts of each role, at the export and afterwards."""
    checkpoint = save_colbert("bert", tmp_path / "checkpoint")
    prompts = {"query": "how do i ", "document": "the cat "}
    manifest = export(str(checkpoint), tmp_path / "out", changes=Changes(prompts=prompts), quiet=True)
    assert {name: manifest.serving.prompts[name] for name in prompts} == prompts
    assert verify(tmp_path / "out", against=str(checkpoint), quiet=True)[0] == manifest


def test_a_default_that_is_no_prompt(build_checkpoint: Build, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="the default prompt is to be 's2p', expected one of the prompts: passage, query"
    ):
        export(
            str(build_checkpoint()),
            tmp_path / "out",
            changes=Changes(prompts=GIVEN, default_prompt="s2p"),
            quiet=True,
        )
    assert not (tmp_path / "out").exists()


def test_a_distilled_model_has_none() -> None:
    with pytest.raises(InputError, match="leave out --static, or --prompt"):
        Changes(prompts=GIVEN, static=True)


def test_the_command(build_checkpoint: Build, tmp_path: Path, run: Run) -> None:
    prompts = ("--prompt", "query=how do i ", "--prompt", "passage=a=b: ", "--default-prompt", "query")
    code, _, err = run("export", build_checkpoint(), tmp_path / "out", "--quiet", *prompts)
    assert code == 0, err
    serving = Manifest.from_json((tmp_path / "out/embedrt.json").read_bytes()).serving
    assert serving.prompts == {"query": "how do i ", "passage": "a=b: "}
    assert serving.default_prompt_name == "query"
    code, out, _ = run("inspect", tmp_path / "out")
    assert (code, "prompts given at the export: query, passage" in out) == (0, True)


@pytest.mark.parametrize("typed", ["query: ", "=query: ", ""])
def test_a_prompt_without_a_name(tmp_path: Path, run: Run, typed: str) -> None:
    code, _, err = run("export", tmp_path, tmp_path / "out", "--prompt", typed)
    assert (code, f"--prompt is {typed!r}, expected NAME=TEXT: --prompt 'query=query: '" in err) == (2, True)


def test_word_vectors_have_none(tmp_path: Path, run: Run) -> None:
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("cat 1 2\n", encoding="utf-8")
    code, _, err = run("export", "--word-vectors", vectors, tmp_path / "out", "--prompt", "query=a ")
    assert (code, "--prompt is for checkpoints" in err) == (2, True)
