"""Mapped weights: the same bytes as in the file, the same vectors, and no damaged file is ever run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from embedrt import SentenceEncoder
from embedrt.artifact.graphfile import SMALLEST_MAPPED_TENSOR, external_locations, graph_metadata, graph_pointing_into
from embedrt.errors import ArtifactError, GraphError, IntegrityError
from embedrt.inference.session import GraphSession

Write = Callable[..., Path]


def _pointing(path: Path) -> bytes:
    found = graph_pointing_into(path)
    assert found is not None
    return found


def _initializers(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in model.graph.initializer}


def test_large_weights_point_at_their_own_bytes(tmp_path: Path, write_graph: Write) -> None:
    path = write_graph(tmp_path / "model.onnx")
    words = _initializers(onnx.load_model_from_string(_pointing(path)))["words"]
    assert words.data_location == TensorProto.EXTERNAL
    assert words.raw_data == b""
    entries = {entry.key: entry.value for entry in words.external_data}
    assert entries.keys() == {"location", "offset", "length"}
    assert (entries["location"], entries["length"]) == ("model.onnx", str(200 * 8 * 4))
    start = int(entries["offset"])
    original = _initializers(onnx.load(path))["words"]
    assert path.read_bytes()[start : start + 6400] == original.raw_data
    assert (words.dims, words.data_type) == (original.dims, original.data_type)


def test_nothing_else_of_the_graph_changes(tmp_path: Path, write_graph: Write) -> None:
    path = write_graph(tmp_path / "model.onnx")
    original, pointing = onnx.load(path), onnx.load_model_from_string(_pointing(path))
    for model in (original, pointing):
        words = _initializers(model)["words"]
        words.ClearField("raw_data")
        words.ClearField("external_data")
        words.ClearField("data_location")
    assert pointing == original
    assert len(_pointing(path)) < path.stat().st_size - 6000


@pytest.mark.parametrize(("count", "mapped"), [(SMALLEST_MAPPED_TENSOR // 8, False), (SMALLEST_MAPPED_TENSOR, True)])
def test_small_weights_stay_in_the_graph(tmp_path: Path, count: int, mapped: bool) -> None:
    tensor = numpy_helper.from_array(np.zeros(count, dtype=np.uint8), "weight")
    graph = helper.make_graph([helper.make_node("Identity", ["weight"], ["out"])], "g", [], [], [tensor])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph), path)
    found = onnx.load_model_from_string(_pointing(path)).graph.initializer[0]
    assert (found.data_location == TensorProto.EXTERNAL) == mapped
    assert len(found.raw_data) == (0 if mapped else count)


def test_weights_that_say_they_are_embedded_are_mapped(tmp_path: Path, write_graph: Write) -> None:
    """quantize_dynamic spells the default location out, behind the data."""
    path = write_graph(tmp_path / "model.onnx")
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        tensor.data_location = TensorProto.DEFAULT
    onnx.save(model, path)
    words = _initializers(onnx.load_model_from_string(_pointing(path)))["words"]
    assert words.data_location == TensorProto.EXTERNAL
    assert GraphSession(path).dimension == 8


def test_a_graph_without_large_weights_is_copied_byte_for_byte(tmp_path: Path, write_graph: Write) -> None:
    path = write_graph(tmp_path / "model.onnx", rows=100)
    assert graph_pointing_into(path) == path.read_bytes()


@pytest.mark.parametrize("rows", [100, 200, 4096])
def test_mapped_weights_give_the_bits_of_copied_ones(tmp_path: Path, write_graph: Write, rows: int) -> None:
    path = write_graph(tmp_path / "model.onnx", rows=rows)
    ids = np.random.default_rng(0).integers(0, rows, (5, 7))
    mask = np.ones_like(ids)
    plain = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (expected,) = plain.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": mask})
    (found,) = GraphSession(path, threads=1).run(ids, mask)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


def test_a_file_is_found_from_another_working_folder(
    tmp_path: Path, write_graph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_graph(tmp_path / "sub folder" / "model.onnx")
    monkeypatch.chdir(tmp_path)
    session = GraphSession(Path("sub folder/model.onnx"), threads=1)
    assert session.dimension == 8


def test_a_link_to_a_graph_in_another_folder(tmp_path: Path, write_graph: Write) -> None:
    path = write_graph(tmp_path / "blobs" / "0123abcd")
    link = tmp_path / "snapshots" / "model.onnx"  # as in the cache of huggingface_hub
    link.parent.mkdir()
    link.symlink_to(path)
    ids = np.arange(12).reshape(3, 4)
    (expected,) = GraphSession(path, threads=1).run(ids, np.ones_like(ids))
    (found,) = GraphSession(link, threads=1).run(ids, np.ones_like(ids))
    np.testing.assert_array_equal(found, expected)


def _in_files_of_their_own(whole: Path, folder: Path, *, linked: bool) -> Path:
    """The graph with its weights beside it; ``linked``: all of them as links, as in the cache of huggingface_hub."""
    path, blobs = folder / "onnx" / "model.onnx", folder / "blobs"
    path.parent.mkdir()
    blobs.mkdir()
    onnx.save(onnx.load(whole), path, save_as_external_data=True, location="model.onnx_data", size_threshold=4096)
    if linked:
        for number, file in enumerate(sorted(path.parent.iterdir())):
            file.rename(blobs / str(number))
            file.symlink_to(blobs / str(number))
    return path


@pytest.mark.parametrize("outputs", [None, ("sentence_embedding",)])
@pytest.mark.parametrize("linked", [False, True])
def test_weights_in_files_of_their_own(
    tmp_path: Path, write_graph: Write, linked: bool, outputs: tuple[str, ...] | None
) -> None:
    original = write_graph(tmp_path / "whole.onnx", token_embeddings=True)
    path = _in_files_of_their_own(original, tmp_path, linked=linked)
    assert graph_pointing_into(path) is None
    assert external_locations(path) == ("model.onnx_data",)
    assert external_locations(original) == ()
    ids = np.arange(12).reshape(3, 4)
    (expected,) = GraphSession(original, threads=1).run(ids, np.ones_like(ids))
    (found,) = GraphSession(path, threads=1, outputs=outputs).run(ids, np.ones_like(ids))
    np.testing.assert_array_equal(found, expected)


def test_weights_outside_of_the_folder_are_not_read(tmp_path: Path, write_graph: Write) -> None:
    path = _in_files_of_their_own(write_graph(tmp_path / "whole.onnx"), tmp_path, linked=False)
    data = path.parent / "model.onnx_data"
    data.rename(tmp_path / "elsewhere")
    data.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GraphError, match=r"cannot load .*model\.onnx"):
        GraphSession(path, threads=1, outputs=("sentence_embedding",))


def test_a_file_cut_anywhere_is_never_run(tmp_path: Path, write_graph: Write, write_tokenizer: Write) -> None:
    write_tokenizer(tmp_path)
    whole = write_graph(tmp_path / "whole.onnx").read_bytes()
    cut = tmp_path / "cut.onnx"
    for length in [*range(40), *range(40, len(whole), 97), *range(len(whole) - 40, len(whole))]:
        cut.write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match=r"cut\.onnx"):
            SentenceEncoder(cut, threads=1)


@pytest.mark.parametrize("length", [0, 1, 3000, -100])
def test_a_cut_file_is_named_with_its_size(tmp_path: Path, write_graph: Write, length: int) -> None:
    path = write_graph(tmp_path / "model.onnx")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(IntegrityError) as caught:
        graph_pointing_into(path)
    size = path.stat().st_size
    assert f"{path} is not a whole ONNX file ({size} bytes)" in str(caught.value)
    assert "Copy or export it again" in str(caught.value)


@settings(deadline=None, max_examples=200)
@given(content=st.binary(max_size=200))
def test_random_bytes_are_refused_or_left_to_onnx_runtime(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "random.onnx"
    path.write_bytes(content)
    try:
        copied = graph_pointing_into(path)
    except IntegrityError as error:
        pointer = content.startswith(
            b"version https://git-lfs.github.com/spec/"
        )  # hypothesis reads the code's own constants
        told = "a Git LFS pointer and not" if pointer else f"not a whole ONNX file ({len(content)} bytes)"
        assert f"random.onnx is {told}" in str(error)  # noqa: PT017
    else:
        assert copied is None or len(copied) <= len(content)


@settings(deadline=None, max_examples=30)
@given(content=st.binary(max_size=100))
def test_random_bytes_are_never_a_model(
    tmp_path_factory: pytest.TempPathFactory, write_tokenizer: Write, content: bytes
) -> None:
    path = write_tokenizer(tmp_path_factory.getbasetemp() / "random").parent / "random.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"random\.onnx"):
        SentenceEncoder(path, threads=1)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x0b", "no protobuf tag (wire type 3)"),
        (b"\x3a\x05ab", "would end at byte 7, beyond byte 4"),
        (b"\x3a\x02\x2a\x05ab", "would end"),
        (b"\x08", "index out of range"),
    ],
)
def test_what_is_wrong_with_the_bytes_is_told(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(IntegrityError) as caught:
        graph_pointing_into(tmp_path / "model.onnx")
    assert expected in str(caught.value)


def test_a_number_without_an_end_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\xff" * 10_000)
    with pytest.raises(IntegrityError, match="number before byte 10 is longer than 64 bits"):
        graph_pointing_into(tmp_path / "model.onnx")


def test_metadata_is_read_without_loading(tmp_path: Path, write_graph: Write) -> None:
    path = write_graph(tmp_path / "model.onnx")
    model = onnx.load(path)
    helper.set_model_props(model, told := {"name": "値", "empty": "", "": "no key"})
    onnx.save(model, path)
    assert graph_metadata(path) == told
    helper.set_model_props(model, {})
    onnx.save(model, path)
    assert graph_metadata(path) == {}
