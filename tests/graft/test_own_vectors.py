"""Graphs that give ``sentence_embedding`` alone: nothing is claimed of them that was not seen, and what they lack is grafted."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from embedrt_export.graft import GraftOptions, graft
from sentence_transformers.base.modules import Dense, Normalize

from embedrt import SentenceEncoder
from embedrt.errors import CheckpointError, InputError
from embedrt.text.tokenizer import TextTokenizer

Folder = Callable[..., Path]
Make = Callable[..., Path]
WIDTH = 32
GRAPH = "onnx/model.onnx"
TEXTS = ["how do i reset my password ?", "忘记密码怎么办", "cat"]


@pytest.fixture
def vectors_only(build_folder: Folder, handmade: Make, with_vectors: Make) -> Folder:
    """Folders of the given modules, whose graph gives means, not normalized, and no token vectors."""

    def build(*modules: object, factor: float = 1.0, **options: object) -> Path:
        folder = build_folder(*modules, **options)
        with_vectors(handmade(folder / GRAPH), factor=factor, tokens=False)
        return folder

    return build


def _own(folder: Path, tokenizer: Path) -> np.ndarray:
    """What the graph as it came gives for each text."""
    session = onnxruntime.InferenceSession(folder / GRAPH, providers=["CPUExecutionProvider"])
    encoded, rows = TextTokenizer(tokenizer).encode(TEXTS), []
    for index in range(len(TEXTS)):
        ids = encoded.row(index)[None, :]
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        rows.append(session.run(None, feed)[0][0])
    return np.stack(rows)


def test_length_and_cut_are_grafted(vectors_only: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = vectors_only("cls", [Normalize()], truncate_dim=10)
    manifest = graft(folder, tmp_path / "out")
    assert "gives sentence_embedding already: grafted are Normalize and Truncate alone" in capsys.readouterr().err
    serving, reference = manifest.serving, manifest.variants["fp32"].parity.reference
    assert (serving.dimension, serving.normalize, serving.pooling) == (10, False, ())
    assert reference.startswith(f"Normalize and Truncate in numpy {np.__version__}, float64, on the sentence_embedding")
    expected = _own(folder, tmp_path / "out/tokenizer.json")
    expected = (expected / np.linalg.norm(expected, axis=1, keepdims=True))[:, :10]
    np.testing.assert_allclose(SentenceEncoder(tmp_path / "out").encode(TEXTS), expected, rtol=0, atol=1e-5)
    assert "Transformer in one graph" in (tmp_path / "out/README.md").read_text(encoding="utf-8").replace("\n", " ")


def test_length_is_measured(vectors_only: Folder, tmp_path: Path) -> None:
    """After the graft of Normalize, and of a graph whose modules end in none."""
    folder = vectors_only("cls", [Normalize()])
    first = graft(folder, tmp_path / "first", quiet=True).serving
    assert (first.dimension, first.normalize) == (WIDTH, True)
    lengths = np.linalg.norm(SentenceEncoder(tmp_path / "first").encode(TEXTS), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=0, atol=1e-6)
    assert not graft(vectors_only("cls"), tmp_path / "second", quiet=True).serving.normalize


def test_vectors_of_another_width(vectors_only: Folder, tmp_path: Path) -> None:
    message = r"gives sentence_embedding of 32 numbers, but the modules of its folder end in 12: choose another graph"
    with pytest.raises(CheckpointError, match=message):
        graft(vectors_only("mean", [Dense(WIDTH, 12), Normalize()]), tmp_path / "out", quiet=True)


def test_vectors_that_are_cut_already(vectors_only: Folder, tmp_path: Path) -> None:
    folder = vectors_only(("mean", "cls"), [Normalize()])
    config = folder / "config_sentence_transformers.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"truncate_dim": WIDTH}))
    serving = graft(folder, tmp_path / "out", quiet=True).serving
    assert (serving.dimension, serving.normalize) == (WIDTH, False)


@pytest.mark.parametrize("tokens", [True, False], ids=["tokens-too", "vectors-only"])
@pytest.mark.parametrize("include", [True, False], ids=["included", "left-out"])
def test_a_grafted_graph_that_reads_a_pooling_mask(
    build_folder: Folder, edit_json: Callable[..., None], tmp_path: Path, tokens: bool, include: bool
) -> None:
    """Grafted again as it is, or with the modules of a folder that leaves no prompts out."""
    folder = build_folder("mean", include_prompt=False)
    graft(folder, tmp_path / "first", quiet=True)
    model = onnx.load(tmp_path / "first" / GRAPH)
    if tokens:
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(
                "last_hidden_state", onnx.TensorProto.FLOAT, ["batch", "sequence", WIDTH]
            )
        )
    onnx.save(model, folder / GRAPH)
    edit_json(folder / "1_Pooling/config.json", include_prompt=include)
    assert graft(folder, tmp_path / "second", quiet=True).serving.include_prompt == include
    with SentenceEncoder(tmp_path / "first") as first, SentenceEncoder(tmp_path / "second") as second:
        found, plain = second.encode(TEXTS, prompt="a cat "), first.encode([f"a cat {text}" for text in TEXTS])
        expected = plain if include else first.encode(TEXTS, prompt="a cat ")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_pooling_mask_that_nothing_reads_is_no_input(
    build_folder: Folder, edit_json: Callable[..., None], tmp_path: Path
) -> None:
    """Where the graph's own vectors, the mean, make room for those of its tokens."""
    folder = build_folder("mean", include_prompt=False)
    graft(folder, tmp_path / "first", quiet=True)
    model = onnx.load(tmp_path / "first" / GRAPH)
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("last_hidden_state", onnx.TensorProto.FLOAT, ["batch", "sequence", WIDTH])
    )
    onnx.save(model, folder / GRAPH)
    edit_json(folder / "1_Pooling/config.json", include_prompt=True, pooling_mode="cls")
    graft(folder, tmp_path / "second", quiet=True)
    inputs = [value.name for value in onnx.load(tmp_path / "second" / GRAPH).graph.input]
    assert inputs == ["input_ids", "attention_mask"]


@pytest.mark.parametrize("options", [GraftOptions(pooling=["mean"]), GraftOptions(normalize=True)], ids=str)
def test_pooling_that_cannot_be_done(vectors_only: Folder, tmp_path: Path, options: GraftOptions) -> None:
    folder = vectors_only("mean")
    (folder / "modules.json").unlink()
    with pytest.raises(InputError, match=r"gives sentence_embedding alone, .*: leave out --pooling and --normalize"):
        graft(folder, tmp_path / "out", options=options, quiet=True)
