"""Devices, providers and graphs: what runs is what was asked for, or an error that says what to do."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from embedrt.artifact.manifest import Serving
from embedrt.errors import GraphError, InputError, ProviderError
from embedrt.inference.devices import Device
from embedrt.inference.session import GraphSession, parse_device

Write = Callable[..., Path]
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
IDS = np.array([[2, 21, 3], [2, 17, 3]])
MASK = np.ones_like(IDS)


def _has(monkeypatch: pytest.MonkeyPatch, *providers: str) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(providers))


@pytest.fixture
def graph(tmp_path: Path, write_graph: Write) -> Path:
    return write_graph(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("text", "device", "provider"),
    [
        ("cpu", Device("cpu"), CPU),
        ("cuda", Device("cuda", 0), CUDA),
        ("cuda:0", Device("cuda", 0), CUDA),
        ("cuda:12", Device("cuda", 12), CUDA),
    ],
)
def test_devices(text: str, device: Device, provider: str) -> None:
    assert parse_device(text) == device
    assert device.provider == provider


@pytest.mark.parametrize("auto", ["auto", None])
def test_auto_is_cuda_where_there_are_cuda_and_a_card(auto: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for cards, providers, expected in ((1, [CPU], "cpu"), (0, [CUDA, CPU], "cpu"), (1, [CUDA, CPU], "cuda")):
        _has(monkeypatch, *providers)
        monkeypatch.setattr("embedrt.inference.session.count_cards", lambda cards=cards: cards)
        assert parse_device(auto) == Device(expected)


@pytest.mark.parametrize("text", ["tpu", "", "CPU", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "cuda:1 "])
def test_unknown_devices_are_named(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_device(text)
    assert str(caught.value) == f"device is {text!r}, expected 'cpu', 'cuda', 'cuda:N' or 'auto'"


def test_cuda_without_cuda_tells_what_to_install(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    _has(monkeypatch, CPU)
    with pytest.raises(ProviderError) as caught:
        GraphSession(graph, device=Device("cuda"))
    message = str(caught.value)
    assert f"{CUDA} was asked for, but this ONNX Runtime {onnxruntime.__version__} has {CPU}." in message
    assert 'pip uninstall onnxruntime && pip install "embedrt[gpu]", or pass device="cpu"' in message


@pytest.mark.parametrize("providers", [["TensorrtExecutionProvider"], [("TensorrtExecutionProvider", {}), CPU]])
def test_a_provider_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, graph: Path, providers: list[Any]
) -> None:
    _has(monkeypatch, CPU)
    with pytest.raises(
        ProviderError, match=r"TensorrtExecutionProvider was asked for.* has CPUExecutionProvider\. Inst"
    ):
        GraphSession(graph, providers=providers)


def test_no_providers_at_all_are_refused(graph: Path) -> None:
    with pytest.raises(InputError, match=r"providers is empty, expected some of .*CPUExecutionProvider"):
        GraphSession(graph, providers=[])


@pytest.mark.parametrize("providers", [[CPU], [(CPU, {})], (CPU,)])
def test_providers_may_be_given_by_name(graph: Path, providers: Any) -> None:
    assert GraphSession(graph, providers=providers, threads=1).providers == [CPU]


class _FellBack:
    """What ONNX Runtime gives when CUDA's libraries do not load: a session on the CPU and no exception."""

    def __init__(self, *_arguments: object, **_options: object) -> None:
        pass

    def get_providers(self) -> list[str]:
        return [CPU]


def test_a_silent_fallback_is_an_error(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    _has(monkeypatch, CUDA, CPU)
    monkeypatch.setattr(onnxruntime, "InferenceSession", _FellBack)
    monkeypatch.setattr("embedrt.inference.session.count_cards", lambda: 1)
    with pytest.raises(ProviderError) as caught:
        GraphSession(graph, device=Device("cuda"))
    message = str(caught.value)
    assert f"{CUDA} was asked for, but ONNX Runtime fell back to {CPU}" in message
    assert 'pip install "onnxruntime-gpu[cuda,cudnn]", or pass device="cpu"' in message


def test_a_tensorrt_that_does_not_load_is_an_error(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    tensorrt = "TensorrtExecutionProvider"
    _has(monkeypatch, tensorrt, CUDA, CPU)
    monkeypatch.setattr(onnxruntime, "InferenceSession", _FellBack)
    monkeypatch.setattr(_FellBack, "get_providers", lambda _self: [CUDA, CPU])
    with pytest.raises(
        ProviderError, match=rf"{tensorrt} was asked for.* fell back to {CUDA}.*TensorRT's libraries did not"
    ):
        GraphSession(graph, providers=[(tensorrt, {"trt_engine_cache_enable": "1"}), CUDA])


def test_the_device_number_reaches_onnx_runtime(monkeypatch: pytest.MonkeyPatch, graph: Path) -> None:
    asked: list[Any] = []

    class Recording(_FellBack):
        def __init__(self, *_arguments: object, providers: list[Any]) -> None:
            asked.extend(providers)

    _has(monkeypatch, CUDA, CPU)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Recording)
    with pytest.raises(ProviderError):
        GraphSession(graph, device=Device("cuda", 3))
    assert asked == [(CUDA, {"device_id": "3", "use_tf32": "0"})]


def test_a_graph_says_what_it_takes_and_gives(tmp_path: Path, write_graph: Write) -> None:
    serving = Serving(dimension=8)
    path = write_graph(tmp_path / "m.onnx", token_embeddings=True, token_type_ids=True, serving=serving)
    session = GraphSession(path, threads=1)
    assert set(session.inputs) == {"input_ids", "attention_mask", "token_type_ids"}
    assert session.outputs == ["sentence_embedding", "token_embeddings"]
    assert list(session.metadata) == ["embedrt"]
    assert session.threads == 1


@pytest.mark.parametrize("stated", [8, "dim"])
def test_the_width_is_stated_or_tried(tmp_path: Path, write_graph: Write, stated: int | str) -> None:
    assert GraphSession(write_graph(tmp_path / "m.onnx", stated_width=stated), threads=1).dimension == 8


def test_outputs_come_in_the_order_that_was_asked_for(tmp_path: Path, write_graph: Write) -> None:
    session = GraphSession(write_graph(tmp_path / "m.onnx", token_embeddings=True), threads=1)
    tokens, vectors = session.run(IDS, MASK, outputs=("token_embeddings", "sentence_embedding"))
    assert (tokens.shape, vectors.shape) == ((2, 3, 8), (2, 8))
    means = tokens.mean(axis=1)
    np.testing.assert_allclose(vectors, means / np.linalg.norm(means, axis=1, keepdims=True), rtol=1e-5)


def test_token_types_are_zeros(tmp_path: Path, write_graph: Write) -> None:
    path = write_graph(tmp_path / "m.onnx", token_type_ids=True)
    plain = onnxruntime.InferenceSession(str(path), providers=[CPU])
    feed = {"input_ids": IDS, "attention_mask": MASK}
    (expected,) = plain.run(None, {**feed, "token_type_ids": np.zeros_like(IDS)})
    (other,) = plain.run(None, {**feed, "token_type_ids": np.ones_like(IDS)})
    (found,) = GraphSession(path, threads=1).run(IDS, MASK)
    np.testing.assert_array_equal(found, expected)
    assert np.abs(found - other).max() > 0.01


def test_pooling_is_over_the_attention_mask_unless_told_otherwise(tmp_path: Path, write_graph: Write) -> None:
    session = GraphSession(write_graph(tmp_path / "m.onnx", pooling_mask=True), threads=1)
    (everything,) = session.run(IDS, MASK)
    (same,) = session.run(IDS, MASK, pooling_mask=MASK)
    (without_first,) = session.run(IDS, MASK, pooling_mask=np.array([[0, 1, 1], [0, 1, 1]]))
    np.testing.assert_array_equal(everything, same)
    assert np.abs(everything - without_first).max() > 0.01


def _foreign(path: Path, inputs: dict[str, int], output: str) -> Path:
    first = next(iter(inputs))
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Cast", [first], [output], to=TensorProto.FLOAT)],
            "foreign",
            [helper.make_tensor_value_info(name, kind, ["b", "s"]) for name, kind in inputs.items()],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["b", "s"])],
        ),
        opset_imports=[helper.make_opsetid("", 23)],
        ir_version=10,
    )
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("inputs", "output", "expected"),
    [
        (["pixel_values"], "sentence_embedding", "takes pixel_values; a sentence encoder takes input_ids and atten"),
        (["input_ids"], "sentence_embedding", "takes input_ids; a sentence encoder takes input_ids and attention_m"),
        (["input_ids", "attention_mask", "bbox"], "sentence_embedding", "takes input_ids, attention_mask, bbox; "),
        (["input_ids", "attention_mask"], "last_hidden_state", "gives last_hidden_state and no sentence_embedding: "),
    ],
)
def test_a_foreign_graph_is_named(tmp_path: Path, inputs: list[str], output: str, expected: str) -> None:
    path = _foreign(tmp_path / "model.onnx", dict.fromkeys(inputs, TensorProto.INT64), output)
    with pytest.raises(GraphError) as caught:
        GraphSession(path, threads=1)
    assert f"{path} {expected}" in str(caught.value)
    assert "Export the checkpoint with: embedrt export MODEL OUT" in str(caught.value)


def test_a_graph_that_onnx_runtime_refuses_is_named(tmp_path: Path, graph: Path) -> None:
    model = onnx.load(graph)
    model.graph.node[0].op_type = "Unheard"
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(GraphError, match=rf"ONNX Runtime {onnxruntime.__version__} cannot load .*odd\.onnx: .*Unheard"):
        GraphSession(tmp_path / "odd.onnx", threads=1)


def test_any_number_of_threads_gives_the_same_bits(graph: Path) -> None:
    ids: npt.NDArray[np.int64] = np.random.default_rng(0).integers(0, 200, (64, 16))
    one = GraphSession(graph, threads=1).run(ids, np.ones_like(ids))[0]
    two = GraphSession(graph, threads=2).run(ids, np.ones_like(ids))[0]
    np.testing.assert_array_equal(one, two)


def test_without_onnx_runtime_the_import_tells_what_to_install(
    run_python: Callable[..., CompletedProcess[str]],
) -> None:
    result = run_python(
        "import sys; sys.modules['onnxruntime'] = None\n"
        "try:\n    from embedrt import SentenceEncoder\n"
        "except ImportError as error:\n    print(type(error).__name__, error)\n"
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("MissingDependencyError ONNX Runtime is not installed: ")
    assert 'type pip install "embedrt[cpu]" for processors' in result.stdout
    assert 'pip install "embedrt[gpu]" for CUDA' in result.stdout
