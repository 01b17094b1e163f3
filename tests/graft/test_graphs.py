"""What graphs take and give, in all the forms in which they lie on the Hub."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from embedrt_export.graft import GraftOptions, append, graft
from embedrt_export.packing import writing
from onnx import TensorProto, helper
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize

from embedrt import SentenceEncoder
from embedrt.artifact.folder import check_files, locate
from embedrt.errors import CheckpointError, IntegrityError, ParityError

Folder = Callable[..., Path]
Make = Callable[..., Path]
WIDTH = 32
GRAPH = "onnx/model.onnx"
TEXTS = ["how do i reset my password ?", "", "忘记密码怎么办", "a " * 60, "cat"]


def _by_its_modules(folder: Path, graph: Path) -> npt.NDArray[np.float32]:
    """sentence-transformers' own modules on the token vectors of ``graph``, which is no graph of its transformer."""
    model = SentenceTransformer(str(folder), device="cpu")
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    rows = []
    for text in TEXTS:
        features: dict[str, Any] = dict(model.tokenizer([text], truncation=True, return_tensors="np"))
        kinds = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}
        feed = {value.name: features[value.name].astype(kinds[value.type]) for value in session.get_inputs()}
        tokens = torch.from_numpy(session.run(None, feed)[0].astype(np.float32))
        state: Any = {"token_embeddings": tokens, "attention_mask": torch.from_numpy(features["attention_mask"])}
        with torch.no_grad():
            for module in list(model)[1:]:
                state = module(state)
        rows.append(state["sentence_embedding"].numpy()[0])
    return np.stack(rows)


def _inputs(out: Path) -> dict[str, int]:
    graph = onnx.load(out / GRAPH).graph
    return {value.name: value.type.tensor_type.elem_type for value in graph.input}


@pytest.mark.parametrize(
    "form",
    [
        {"token_types": False},
        {"integers": TensorProto.INT32},
        {"output": "token_embeddings"},
        {"output": "anything"},
        {"weights_are_inputs": True},
        *({"opset": opset} for opset in (11, 12, 13, 14, 17, 18, 20, 22)),
    ],
    ids=str,
)
def test_forms_of_graphs(build_folder: Folder, handmade: Make, tmp_path: Path, form: dict[str, Any]) -> None:
    torch.manual_seed(1)
    modes = ("mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
    folder = build_folder(modes, [Dense(6 * WIDTH, 12), Normalize()])
    handmade(folder / GRAPH, **form)
    manifest = graft(folder, tmp_path / "out", quiet=True)
    assert manifest.variants["fp32"].opset == form.get("opset", 17)
    onnx.checker.check_model(onnx.load(tmp_path / "out" / GRAPH), full_check=True)
    assert _inputs(tmp_path / "out") == {"input_ids": TensorProto.INT64, "attention_mask": TensorProto.INT64}
    outputs = onnx.load(tmp_path / "out" / GRAPH).graph.output
    assert [value.name for value in outputs] == ["sentence_embedding"]
    found = SentenceEncoder(tmp_path / "out").encode(TEXTS)
    np.testing.assert_allclose(found, _by_its_modules(folder, folder / GRAPH), rtol=0, atol=1e-5)


def test_token_types_are_zeros(mean_folder: Path, handmade: Make, tmp_path: Path) -> None:
    """Their rows are large here: another type, or none, would show."""
    folder = shutil.copytree(mean_folder, tmp_path / "folder")
    handmade(folder / GRAPH)
    graft(folder, tmp_path / "out", quiet=True)
    found = SentenceEncoder(tmp_path / "out").encode(TEXTS)
    np.testing.assert_allclose(found, _by_its_modules(folder, folder / GRAPH), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"further_inputs": ["position_ids"]}, r"takes position_ids too, which graft cannot make up"),
        ({"further_inputs": ["past_key_values.0.key", "use_cache"]}, r"takes past_key_values\.0\.key, use_cache too"),
        ({"opset": 10}, r"is of opset 10, expected 11 or later"),
    ],
    ids=["positions", "cache", "opset"],
)
def test_graphs_that_cannot_be_finished(
    folder: Path, handmade: Make, tmp_path: Path, form: dict[str, Any], message: str
) -> None:
    handmade(folder / GRAPH, **form)
    _assert_refused(folder, tmp_path, message)


def _assert_refused(folder: Path, tmp_path: Path, message: str, error: type[Exception] = CheckpointError) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=message) as raised:
        graft(folder, tmp_path / "out", quiet=True)
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.iterdir()) == before, "nothing is written"


def _without_mask(model: onnx.ModelProto) -> None:
    [mask] = [value for value in model.graph.input if value.name == "attention_mask"]
    model.graph.input.remove(mask)
    model.graph.node.extend(
        [helper.make_node("Shape", ["input_ids"], ["s"]), helper.make_node("ConstantOfShape", ["s"], ["m"])]
    )
    del model.graph.node[5]


def _of_fixed_length(model: onnx.ModelProto) -> None:
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[1].dim_value = 128


def _pooled_by_itself(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("ReduceMean", ["last_hidden_state"], ["logits"], axes=[1], keepdims=0))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", WIDTH]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_mask, r"has no input attention_mask, it takes input_ids, token_type_ids"),
        (_of_fixed_length, r"takes input_ids of shape .*128.*, expected two open axes"),
        (_pooled_by_itself, r"gives logits .*; expected last_hidden_state or token_embeddings"),
    ],
    ids=["no-mask", "fixed", "logits"],
)
def test_graphs_of_other_tasks(
    folder: Path, handmade: Make, tmp_path: Path, change: Callable[[onnx.ModelProto], None], message: str
) -> None:
    model = onnx.load(handmade(folder / GRAPH))
    change(model)
    onnx.save(model, folder / GRAPH)
    _assert_refused(folder, tmp_path, message)


@pytest.mark.parametrize("tokens", [True, False], ids=["tokens-too", "vectors-only"])
def test_finished_graphs_are_packed_as_they_are(
    folder: Path, handmade: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], with_vectors: Make, tokens: bool
) -> None:
    expected = _by_its_modules(folder, handmade(folder / GRAPH))
    with_vectors(folder / GRAPH, tokens=tokens)
    manifest = graft(folder, tmp_path / "out")
    assert "model.onnx gives sentence_embedding already: nothing needs to be grafted" in capsys.readouterr().err
    assert {node.output[0] for node in onnx.load(tmp_path / "out" / GRAPH).graph.node} >= {
        "plain",
        "sentence_embedding",
    }
    assert ("its modules in numpy" in manifest.variants["fp32"].parity.reference) is tokens
    np.testing.assert_allclose(SentenceEncoder(tmp_path / "out").encode(TEXTS), expected, rtol=0, atol=1e-5)


def test_finished_graphs_need_no_modules(folder: Path, handmade: Make, with_vectors: Make, tmp_path: Path) -> None:
    expected = _by_its_modules(folder, handmade(folder / GRAPH))
    with_vectors(folder / GRAPH)
    (folder / "modules.json").unlink()
    manifest = graft(folder, tmp_path / "out", quiet=True)
    assert manifest.serving.pooling == ()
    assert manifest.variants["fp32"].parity.reference.startswith("the sentence_embedding that model.onnx gives")
    np.testing.assert_allclose(SentenceEncoder(tmp_path / "out").encode(TEXTS), expected, rtol=0, atol=1e-5)


def test_finished_graphs_that_are_not_their_modules_are_grafted(
    folder: Path, handmade: Make, with_vectors: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = _by_its_modules(folder, handmade(folder / GRAPH))
    with_vectors(folder / GRAPH, factor=1.5)
    graft(folder, tmp_path / "out")
    assert "it is not what the modules make of its token vectors, so they are grafted on" in capsys.readouterr().err
    np.testing.assert_allclose(SentenceEncoder(tmp_path / "out").encode(TEXTS), expected, rtol=0, atol=1e-5)


def test_what_does_not_agree_is_not_written(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(append._WEIGHTS, "mean", append._mean_sqrt_len)
    _assert_refused(
        folder, tmp_path, r"the graph differs from its modules on the token vectors of .* worst text", ParityError
    )


def _externally(path: Path, name: str) -> None:
    model = onnx.load(path)
    onnx.external_data_helper.convert_model_to_external_data(model, location=name, size_threshold=64)
    onnx.save(model, path)


@pytest.mark.parametrize("above_the_limit", [False, True])
def test_external_data(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, above_the_limit: bool) -> None:
    """Under whatever name; it moves into the graph's file where that can hold it, else into one beside it."""
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    _externally(folder / GRAPH, "weights of it.bin")
    assert (folder / "onnx/weights of it.bin").stat().st_size > 80_000
    if above_the_limit:
        monkeypatch.setattr(
            writing, "_ONE_FILE_LIMIT", 1 << 26
        )  # what is kept free of it, so that any weight is too much
    out = tmp_path / "out"
    manifest = graft(folder, out, quiet=True)
    shutil.rmtree(folder)
    assert ("onnx/model.onnx_data" in manifest.files) is above_the_limit
    for name, record in manifest.files.items():
        assert record.sha256 == hashlib.sha256((out / name).read_bytes()).hexdigest()
    np.testing.assert_allclose(SentenceEncoder(out).encode(TEXTS), expected, rtol=0, atol=1e-5)
    if above_the_limit:
        data = out / "onnx/model.onnx_data"
        data.write_bytes(data.read_bytes()[:-1] + b"?")
        with pytest.raises(IntegrityError, match=r"model\.onnx_data"):
            check_files(locate(out))


def test_external_data_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    _externally(folder / GRAPH, "model.onnx_data")
    data = folder / "onnx/model.onnx_data"
    content = data.read_bytes()
    data.unlink()
    _assert_refused(
        folder, tmp_path, r"model\.onnx has its weights in model\.onnx_data, which is not beside it: download"
    )
    data.write_bytes(content[:1000])
    _assert_refused(folder, tmp_path, r"model\.onnx_data has 1000 bytes, but model\.onnx names weights up to byte \d+")
    model = onnx.load(folder / GRAPH, load_external_data=False)
    for weight in model.graph.initializer:
        for entry in weight.external_data:
            entry.value = "../secret" if entry.key == "location" else entry.value
    onnx.save(model, folder / GRAPH)
    _assert_refused(folder, tmp_path, r"names weights in \.\./secret, outside of its folder")


def test_quantized_graphs(quantized_folder: Path, tmp_path: Path) -> None:
    folder = quantized_folder
    options = GraftOptions(graph="onnx/model_qint8_avx512_vnni.onnx")
    manifest = graft(folder, tmp_path / "out", options=options, quiet=True)
    assert list(manifest.variants) == ["int8-foreign"]
    variant = manifest.variants[manifest.default_variant]
    assert (variant.precision, variant.file) == ("int8-foreign", "onnx/model_int8_foreign.onnx")
    assert variant.parity.max_abs_difference <= 1e-5
    assert variant.parity.reference == (
        f"its modules in numpy {np.__version__}, float64, on the token vectors that model_qint8_avx512_vnni.onnx "
        "gives for the same batch; the transformer itself was compared with nothing"
    )
    expected = _by_its_modules(folder, folder / "onnx/model_qint8_avx512_vnni.onnx")
    found = SentenceEncoder(tmp_path / "out").encode(TEXTS, batch_size=1)
    cosines = (found * expected).sum(axis=1)
    assert cosines.min() > 0.999  # the same int8 numbers, but for sums that fell to the other side of a rounding
    exact = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    assert np.abs(found - exact).max() > 1e-4, "it is the int8 graph that was finished"


def test_half_precision(build_folder: Folder, handmade: Make, tmp_path: Path) -> None:
    folder = build_folder("mean")
    (folder / GRAPH).unlink()
    handmade(folder / "onnx/model_fp16.onnx", floats=TensorProto.FLOAT16)
    model = onnx.load(folder / "onnx/model_fp16.onnx")
    model.graph.node[-1].attribute[0].i = TensorProto.FLOAT16
    onnx.save(model, folder / "onnx/model_fp16.onnx")
    manifest = graft(folder, tmp_path / "out", quiet=True)  # the only one
    assert list(manifest.variants) == ["fp16-foreign"]
    expected = _by_its_modules(folder, folder / "onnx/model_fp16.onnx")
    np.testing.assert_allclose(SentenceEncoder(tmp_path / "out").encode(TEXTS), expected, rtol=0, atol=1e-3)


def test_a_file_that_is_no_graph(folder: Path, tmp_path: Path) -> None:
    (folder / GRAPH).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 90000000\n")
    _assert_refused(folder, tmp_path, r"is no whole ONNX file \(\d+ bytes\).*Git LFS pointer")
