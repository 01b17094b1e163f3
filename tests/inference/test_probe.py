"""The graph that asks whether a device runs anything."""

import onnx
import onnxruntime
import pytest

from embedrt.errors import ProviderError
from embedrt.inference.devices import Device
from embedrt.inference.probe import GRAPH, require_running

WRITTEN_OUT = """<ir_version: 10, opset_import: ["" : 17]>
probe (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask)
    => (float[batch, sequence] sentence_embedding) {
    tokens = Mul(input_ids, attention_mask)
    sentence_embedding = Cast<to = 1>(tokens)
}"""


def test_the_graph_is_what_it_is_said_to_be() -> None:
    assert onnx.load_from_string(GRAPH) == onnx.parser.parse_model(WRITTEN_OUT)


def test_a_processor_runs_it() -> None:
    require_running(Device("cpu"))


@pytest.mark.parametrize(
    ("cards", "why"),
    [
        (0, r"the NVIDIA driver shows no card here \(a container needs --gpus all\)\. Pass device=\"cpu\"$"),
        (1, r"its CUDA and cuDNN libraries did not load\. Type pip install \"onnxruntime-gpu\[cuda,cudnn\]\""),
    ],
)
def test_cuda_that_does_not_load(monkeypatch: pytest.MonkeyPatch, cards: int, why: str) -> None:
    """As in onnxruntime-gpu, which has the provider on every machine."""
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda graph, options, **_: real(graph, options, ["CPUExecutionProvider"])
    )
    monkeypatch.setattr("embedrt.inference.session.count_cards", lambda: cards)
    with pytest.raises(ProviderError, match=rf"fell back to CPUExecutionProvider: {why}"):
        require_running(Device("cuda"))
