"""Finding, reading and checking artifacts: every shape they come in, and every way to be damaged."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from embedrt import SentenceEncoder
from embedrt.artifact.folder import check_files, locate, sha256_of
from embedrt.errors import ArtifactNotFoundError, InputError, IntegrityError, ManifestError

Write = Callable[..., Path]
Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]


@pytest.fixture
def two_variants(tmp_path: Path, write_artifact: Write) -> Path:
    return write_artifact(tmp_path / "two", variants={"fp32": {}, "int8": {"seed": 1}})


def test_a_folder_with_a_manifest_gives_its_default_variant(two_variants: Path) -> None:
    found = locate(two_variants)
    assert found.manifest is not None
    assert (found.variant, found.folder) == ("fp32", two_variants)
    assert found.graph == two_variants / "onnx" / "model.onnx"
    assert found.tokenizer == two_variants / "tokenizer.json"


def test_a_variant_is_chosen_by_name(two_variants: Path) -> None:
    found = locate(two_variants, variant="int8")
    assert (found.variant, found.graph) == ("int8", two_variants / "onnx" / "model_int8.onnx")


@pytest.mark.parametrize("variant", ["fp16", ""])
def test_an_unknown_variant_is_named_with_the_known_ones(two_variants: Path, variant: str) -> None:
    with pytest.raises(InputError, match=f"variant '{variant}' was asked for, but the artifact has fp32, int8"):
        locate(two_variants, variant=variant)


@pytest.mark.parametrize("place", ["onnx/model.onnx", "model.onnx"])
def test_a_folder_of_other_makers(tmp_path: Path, write_graph: Write, place: str) -> None:
    graph = write_graph(tmp_path / place)
    found = locate(str(tmp_path))
    assert (found.manifest, found.variant, found.graph) == (None, None, graph)
    with pytest.raises(InputError, match=r"variant 'int8' was asked for, but .* has no embedrt\.json"):
        locate(tmp_path, variant="int8")


@pytest.mark.parametrize("beside", [True, False])
def test_a_single_graph_finds_its_tokenizer(
    tmp_path: Path, write_graph: Write, write_tokenizer: Write, beside: bool
) -> None:
    graph = write_graph(tmp_path / "onnx" / "model.onnx")
    tokenizer = write_tokenizer(graph.parent if beside else tmp_path)
    found = locate(graph)
    assert (found.graph, found.tokenizer, found.manifest) == (graph, tokenizer, None)
    with pytest.raises(InputError, match="is a single graph: pass the artifact folder"):
        locate(graph, variant="fp32")


def test_the_home_folder_may_be_written_as_a_tilde(
    tmp_path: Path, write_artifact: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_artifact(tmp_path / "tiny")
    assert locate("~/tiny").folder == tmp_path / "tiny"


@pytest.mark.parametrize("model", [Path("nothing-here"), "./nothing-here", "a/b/c", "missing/model.onnx", "no folder"])
def test_what_is_not_there_is_not_asked_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str | Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactNotFoundError) as caught:
        locate(model)
    assert f"no folder or .onnx file at {model}" in str(caught.value)
    assert "pass the folder that embedrt export wrote, or a Hub id" in str(caught.value)


def test_a_file_that_is_no_graph(tmp_path: Path, write_artifact: Callable[..., Path]) -> None:
    manifest = write_artifact(tmp_path / "tiny") / "embedrt.json"
    with pytest.raises(ArtifactNotFoundError) as caught:
        locate(manifest)
    assert str(caught.value).startswith(f"{manifest} is a file whose name does not end in .onnx: pass the folder that ")


def test_a_folder_without_a_graph_tells_how_to_export(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ArtifactNotFoundError) as caught:
        locate(tmp_path)
    assert "has neither embedrt.json nor onnx/model.onnx nor model.onnx" in str(caught.value)
    assert f"type: embedrt export {tmp_path} OUT" in str(caught.value)


def test_a_manifest_cut_inside_a_character_is_named(tmp_path: Path, write_artifact: Write) -> None:
    folder = write_artifact(tmp_path / "tiny", serving={"prompts": {"query": "查询"}})
    whole = (folder / "embedrt.json").read_bytes()
    (folder / "embedrt.json").write_bytes(whole[: whole.index("查".encode()) + 1])
    with pytest.raises(ManifestError, match=rf"^in {re.escape(str(folder))}: embedrt\.json is not JSON"):
        locate(folder)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # the word embeddings are most of the file
    path.write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (_cut, r"has \d+ bytes, the manifest names \d+"),
    "empty": (lambda path: path.write_bytes(b""), r"has 0 bytes, the manifest names \d+"),
    "grown": (
        lambda path: path.write_bytes(path.read_bytes() + b"\0"),
        r"has \d+ bytes, the manifest names \d+",
    ),
    "one bit": (_flip, r"has SHA-256 [0-9a-f]{12}…, the manifest names [0-9a-f]{12}…: the file was changed"),
    "gone": (Path.unlink, "is missing, the manifest names it"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["onnx/model.onnx", "tokenizer.json"])
def test_a_damaged_file_is_named_and_not_served(tmp_path: Path, write_artifact: Write, damage: str, file: str) -> None:
    folder = write_artifact(tmp_path / "tiny")
    damaging, message = DAMAGES[damage]
    damaging(folder / file)
    with pytest.raises(IntegrityError, match=f"{message}.*Copy the artifact again, or export it again") as caught:
        check_files(locate(folder))
    assert str(folder / file) in str(caught.value)
    with pytest.raises(IntegrityError, match=message):
        SentenceEncoder(folder)


@pytest.mark.parametrize("with_manifest", [True, False])
def test_a_file_that_git_has_not_fetched(tmp_path: Path, write_artifact: Write, with_manifest: bool) -> None:
    folder = write_artifact(tmp_path / "tiny")
    note = "version https://git-lfs.github.com/spec/v1\noid sha256:4665\nsize 90868376\n"
    (folder / "onnx/model.onnx").write_text(note, encoding="utf-8")
    if not with_manifest:
        (folder / "embedrt.json").unlink()
    with pytest.raises(
        IntegrityError, match=r"model\.onnx is a Git LFS pointer and not the file itself: type git lfs pull"
    ):
        SentenceEncoder(folder)


def test_a_manifest_of_another_graph_is_noticed(tmp_path: Path, write_artifact: Write, edit_manifest: Edit) -> None:
    folder = write_artifact(tmp_path / "tiny")
    edit_manifest(folder, lambda content: content["files"]["onnx/model.onnx"].update(sha256="0" * 64))
    with pytest.raises(IntegrityError, match="the manifest names 000000000000…"):
        SentenceEncoder(folder)


def test_only_the_files_of_the_variant_are_checked(two_variants: Path) -> None:
    _flip(two_variants / "onnx" / "model_int8.onnx")
    check_files(locate(two_variants))
    with pytest.raises(IntegrityError, match=r"model_int8\.onnx has SHA-256"):
        check_files(locate(two_variants, variant="int8"))


def test_external_weights_are_checked_with_their_graph(
    tmp_path: Path, write_artifact: Write, edit_manifest: Edit
) -> None:
    folder = write_artifact(tmp_path / "tiny")
    (folder / "onnx" / "model.onnx_data").write_bytes(b"abc")
    record = {"sha256": hashlib.sha256(b"abc").hexdigest(), "bytes": 3}
    edit_manifest(folder, lambda content: content["files"].update({"onnx/model.onnx_data": record}))
    check_files(locate(folder))
    (folder / "onnx" / "model.onnx_data").write_bytes(b"abd")
    with pytest.raises(IntegrityError, match=r"model\.onnx_data has SHA-256"):
        check_files(locate(folder))


@pytest.mark.parametrize("location", ["model.onnx_data", "model.onnx_data_1", "weights.bin"])
@pytest.mark.parametrize("listed", [True, False])
def test_weights_that_nobody_checked_are_not_served(
    tmp_path: Path, write_artifact: Write, edit_manifest: Edit, location: str, listed: bool
) -> None:
    folder = write_artifact(tmp_path / "tiny")
    graph = folder / "onnx" / "model.onnx"
    onnx.save(onnx.load(graph), graph, save_as_external_data=True, location=location, size_threshold=4096)
    files = [graph, *([graph.with_name(location)] if listed else [])]
    records = {f"onnx/{file.name}": {"sha256": sha256_of(file), "bytes": file.stat().st_size} for file in files}
    edit_manifest(folder, lambda content: content["files"].update(records))
    if listed and location != "weights.bin":
        SentenceEncoder(folder, threads=1).close()
        return
    with pytest.raises(
        IntegrityError,
        match=rf"keeps weights in '{location}', expected a file that the manifest lists and that is called model\.onnx_data",
    ):
        SentenceEncoder(folder, threads=1)


def test_a_tokenizer_that_the_manifest_does_not_list_is_not_read(
    tmp_path: Path, write_artifact: Write, edit_manifest: Edit
) -> None:
    folder = write_artifact(tmp_path / "tiny")
    edit_manifest(folder, lambda content: content["files"].pop("tokenizer.json"))
    expected = rf"^in {re.escape(str(folder))}: `files` lists neither words\.json nor tokenizer\.json: export"
    with pytest.raises(ManifestError, match=expected):
        locate(folder)


def test_sha256_of_a_file_longer_than_one_piece(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1 and B.3
    (tmp_path / "million").write_bytes(b"a" * 1_000_000)
    (tmp_path / "pieces").write_bytes(b"ab" * (1 << 20))
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "million") == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    assert sha256_of(tmp_path / "pieces") == hashlib.sha256(b"ab" * (1 << 20)).hexdigest()


def test_queries_of_other_makers_have_no_default_prompt(
    tmp_path: Path, write_graph: Write, write_tokenizer: Write
) -> None:
    write_graph(tmp_path / "model.onnx")
    write_tokenizer(tmp_path)
    told = {"prompts": {"s": "hello: "}, "default_prompt_name": "s"}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(told), encoding="utf-8")
    with SentenceEncoder(tmp_path, threads=1) as encoder:
        np.testing.assert_array_equal(encoder.encode_query("a cat"), encoder.encode("a cat", prompt=""))
        np.testing.assert_array_equal(encoder.encode("a cat"), encoder.encode("a cat", prompt="hello: "))
