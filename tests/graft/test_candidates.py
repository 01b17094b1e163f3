"""Which of a folder's graphs is finished, where nobody says."""

import shutil
from pathlib import Path

import pytest
from embedrt_export.graft.candidates import choose_graph

from embedrt.errors import CheckpointError, InputError

GRAPH = "onnx/model.onnx"


def test_which_graph(quantized_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(quantized_folder, tmp_path / "folder")
    assert choose_graph(folder, None).path == folder / GRAPH
    (folder / GRAPH).rename(folder / "onnx/model_O2.onnx")
    shutil.copy(folder / "onnx/model_qint8_avx512_vnni.onnx", folder / "model.onnx")
    assert choose_graph(folder, None).path == folder / "onnx/model_O2.onnx", "model.onnx is int8 here"
    (folder / "onnx/model_O2.onnx").unlink()
    names = r"model\.onnx, onnx/model_qint8_avx512_vnni\.onnx"
    with pytest.raises(InputError, match=rf"none of {names} is float32: choose one with --graph"):
        choose_graph(folder, None)
    with pytest.raises(InputError, match=rf"there is no graph onnx/model\.onnx in .*: it has {names}"):
        choose_graph(folder, GRAPH)
    assert choose_graph(folder, folder / "model.onnx").precision == "int8-foreign"
    shutil.rmtree(folder / "onnx")
    assert choose_graph(folder, None).precision == "int8-foreign"
    (folder / "model.onnx").unlink()
    with pytest.raises(CheckpointError, match=r"hold no \.onnx file\. With PyTorch, type: embedrt export"):
        choose_graph(folder, None)
