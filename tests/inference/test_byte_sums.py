"""Products of bytes: exact, or refused; never where the process would end."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from embedrt.errors import UnavailableError
from embedrt.inference import byte_sums, session
from embedrt.inference.byte_sums import SUMS_FIT, byte_sum_options, require_exact_sums, sums_of_bytes

ABORTING = ("1.24.2", "1.29.1")


@pytest.fixture
def saturating(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor without VNNI."""
    monkeypatch.setattr(byte_sums, "saturates_byte_sums", lambda: True)


@pytest.fixture
def graph(tmp_path: Path, write_graph: Callable[..., Path]) -> Path:
    """Nothing is known of its weights."""
    return write_graph(tmp_path / "model.onnx")


@pytest.fixture
def fitting(graph: Path) -> Path:
    """It says that they fit."""
    model = onnx.load(graph)
    onnx.helper.set_model_props(model, {"another": "1", SUMS_FIT: "1"})
    onnx.save(model, graph)
    return graph


@pytest.mark.parametrize("saturates", [True, False])
def test_weights_are_turned_to_u8_only_where_sums_saturate(
    graph: Path, monkeypatch: pytest.MonkeyPatch, saturates: bool
) -> None:
    """Where they do not, that would more than halve the speed."""
    monkeypatch.setattr(byte_sums, "saturates_byte_sums", lambda: saturates)
    monkeypatch.setattr(session, "runtime_version", lambda: "1.32.0")
    options = session._options(graph, 1, None, fusions=False)
    if saturates:
        assert options.get_session_config_entry("session.x64quantprecision") == "1"
    else:
        with pytest.raises(RuntimeError, match="x64quantprecision"):
            options.get_session_config_entry("session.x64quantprecision")


@pytest.mark.parametrize("version", ABORTING)
@pytest.mark.usefixtures("saturating")
def test_an_onnxruntime_that_would_end_the_process(graph: Path, version: str) -> None:
    assert byte_sum_options(graph, version) == {}
    told = f"16-bit sums: weights made to fit stay as they are, others ONNX Runtime {version} cannot turn to u8"
    assert sums_of_bytes(version) == told
    message = (
        rf"^variant 'int8' has weights of 8 bits, .* ONNX Runtime {version} .* type pip install -U \"onnxruntime>=1\.30\", "
        "or quantize the model again$"
    )
    with pytest.raises(UnavailableError, match=message):
        require_exact_sums("variant 'int8'", graph, version)


@pytest.mark.parametrize("version", ["1.30.0", "1.32.0", "2.0.0"])
@pytest.mark.usefixtures("saturating")
def test_the_others(graph: Path, version: str) -> None:
    assert byte_sum_options(graph, version) == {"session.x64quantprecision": "1"}
    assert sums_of_bytes(version) == "16-bit sums: weights made to fit stay as they are, others are turned to u8"
    require_exact_sums("variant 'int8'", graph, version)


@pytest.mark.parametrize("version", [*ABORTING, "1.32.0"])
@pytest.mark.usefixtures("saturating")
def test_weights_that_fit_stay_as_they_are(fitting: Path, version: str) -> None:
    assert byte_sum_options(fitting, version) == {}
    require_exact_sums("variant 'int8'", fitting, version)


@pytest.mark.parametrize("version", ABORTING)
def test_with_vnni_nothing_is_to_be_turned(graph: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_sums, "saturates_byte_sums", lambda: False)
    assert byte_sum_options(graph, version) == {}
    assert sums_of_bytes(version) == "exact in one instruction"
    require_exact_sums("variant 'int8'", graph, version)
