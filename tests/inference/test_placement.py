"""Where nodes run, and what is said when they run elsewhere than asked."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from embedrt import SentenceEncoder
from embedrt.errors import ProviderError
from embedrt.inference.devices import Device
from embedrt.inference.installation import conflict, onnxruntime_packages
from embedrt.inference.placement import Placed, placements, strays
from embedrt.inference.session import GraphSession

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def test_every_node_of_a_real_graph_is_placed(tmp_path: Path, write_graph: Callable[..., Path]) -> None:
    path = write_graph(tmp_path / "model.onnx")
    found = GraphSession(path, threads=1).placements
    counts = {one.operator: one.count for one in found}
    assert {one.provider for one in found} == {CPU}
    assert counts["Gather"] >= 1
    assert found == sorted(found)


def test_only_what_works_on_token_vectors_strays() -> None:
    nodes = [(CPU, "", "Shape"), (CPU, "", "Gather"), (CUDA, "", "MatMul"), (CPU, "", "Gelu"), (CPU, "", "Gelu")]
    nodes += [(CPU, "com.microsoft", "SkipLayerNormalization"), (CUDA, "", "Gather")]
    found = placements(nodes)
    assert strays(found, CUDA) == [Placed(CPU, "Gelu", 2), Placed(CPU, "com.microsoft.SkipLayerNormalization", 1)]
    assert strays(found, CPU) == []


def _cuda_session(*parts: tuple[str, list[tuple[str, str]]]) -> type:
    """A stand-in for ONNX Runtime's session on CUDA, with nodes (domain, operator) by provider."""

    class Session:
        def __init__(self, *_arguments: object, **_options: object) -> None:
            pass

        def get_providers(self) -> list[str]:
            return [CUDA, CPU]

        def get_provider_graph_assignment_info(self) -> list[Any]:
            return [
                SimpleNamespace(
                    ep_name=name,
                    get_nodes=lambda nodes=nodes: [SimpleNamespace(domain=d, op_type=o, name="") for d, o in nodes],
                )
                for name, nodes in parts
            ]

        def get_inputs(self) -> list[Any]:
            return [SimpleNamespace(name="input_ids"), SimpleNamespace(name="attention_mask")]

        def get_outputs(self) -> list[Any]:
            return [SimpleNamespace(name="sentence_embedding")]

    return Session


def test_a_node_that_fell_back_is_an_error_with_its_name(
    tmp_path: Path, write_graph: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_graph(tmp_path / "model.onnx")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    stray = _cuda_session((CUDA, [("", "MatMul")]), (CPU, [("", "Attention"), ("", "Attention"), ("", "Shape")]))
    monkeypatch.setattr(onnxruntime, "InferenceSession", stray)
    with pytest.raises(ProviderError, match=r"no kernels for 2 Attention of this graph.*Take another variant \(fp16\)"):
        GraphSession(path, device=Device("cuda"))
    assert GraphSession(path, providers=[CUDA, CPU]).providers == [CUDA, CPU]  # the CPU was named: it is meant
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", _cuda_session((CUDA, [("", "MatMul")]), (CPU, [("", "Shape")]))
    )
    assert GraphSession(path, device=Device("cuda")).providers == [CUDA, CPU]


def test_a_provider_that_takes_nothing_is_no_silent_processor(tmp_path: Path, write_graph: Callable[..., Path]) -> None:
    path, asked = write_graph(tmp_path / "model.onnx"), "AzureExecutionProvider"  # is in every wheel, and takes no node
    if asked not in onnxruntime.get_available_providers():
        pytest.skip(f"this ONNX Runtime has no {asked}")
    with pytest.raises(
        ProviderError, match=rf"{asked} was asked for, but has no kernels for .*MatMul.*'{asked}', '{CPU}'"
    ):
        GraphSession(path, providers=[asked])
    assert GraphSession(path, providers=[asked, CPU]).providers == [asked, CPU]


def test_int8_on_cuda_warns(
    tiny: Path, write_artifact: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_artifact(tmp_path / "int8")
    manifest = json.loads((folder / "embedrt.json").read_text(encoding="utf-8"))
    manifest["variants"]["fp32"]["precision"] = "int8"
    (folder / "embedrt.json").write_text(json.dumps(manifest), encoding="utf-8")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(onnxruntime, "InferenceSession", _cuda_session((CUDA, [("", "MatMul")])))
    with pytest.warns(UserWarning, match=r"variant 'fp32' is made for processors.*variant='fp16'"):
        SentenceEncoder(folder, device="cuda")
    SentenceEncoder(tiny, device="cuda")  # a warning would be an error here


def test_two_packages_of_onnx_runtime_are_explained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write_graph: Callable[..., Path]
) -> None:
    assert set(onnxruntime_packages()) == {"onnxruntime"}
    both = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.32.0"}
    sentence = conflict(both)
    assert sentence is not None
    assert "onnxruntime 1.32.0 and onnxruntime-gpu 1.32.0 are installed together" in sentence
    assert sentence.endswith("pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu")
    monkeypatch.setattr("embedrt.inference.devices.onnxruntime_packages", lambda: both)
    with pytest.raises(ProviderError, match=r"CPUExecutionProvider\. Onnxruntime 1\.32\.0 and .*overwritten"):
        GraphSession(write_graph(tmp_path / "model.onnx"), device=Device("cuda"))
