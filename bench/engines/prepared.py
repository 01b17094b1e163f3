"""Files that peers need and that nobody ships: made once for an artifact and its checkpoint, kept in the cache folder.

All of them come from the same weights as the artifact: a folder with our float32 graph, one with a ``quantize_dynamic``
copy of it, the transformer alone, the word embeddings alone, and OpenVINO's files.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from embedrt_bench.engines.peers import python_of
from embedrt_bench.engines.process import TAIL, thread_environment
from embedrt_bench.models.cached import CACHE

from embedrt.artifact.manifest import MANIFEST_FILE, Manifest

__all__ = ["MAKERS", "Prepared", "Source"]

_TOKENIZER_FILES = ("tokenizer.json", "config.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What the files are made of."""

    artifact: Path
    """Folder of the artifact, with its float32 variant."""
    checkpoint: Path
    """Folder of the checkpoint that it was exported from."""
    calibration: Sequence[str]
    """Texts for quantizers that ask for some."""


class Prepared:
    """The folders by name, each made at its first use."""

    def __init__(self, source: Source, *, place: Path = CACHE / "peers" / "files") -> None:
        self._source = source
        manifest = (source.artifact / MANIFEST_FILE).read_bytes()
        self._manifest = Manifest.from_json(manifest)
        content = manifest + str(source.checkpoint).encode()
        self._place = place / hashlib.sha256(content).hexdigest()[:16]  # another artifact, other files

    def folder(self, name: str) -> Path:
        """The folder of that name out of :data:`MAKERS`, complete."""
        folder = self._place / name
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as place:
                half = Path(place) / name
                half.mkdir()
                MAKERS[name](self, half)
                half.rename(folder)  # a folder that is there is whole
        return folder

    @property
    def float32(self) -> Path:
        """Our graph that the others are compared with."""
        return self._source.artifact / self._manifest.variants["fp32"].file

    def whole_graph(self, folder: Path) -> None:
        """Our float32 graph as model.onnx, with the tokenizer files that light runtimes want."""
        shutil.copyfile(self.float32, folder / "model.onnx")
        self._tokenizer(folder)

    def dynamic_int8(self, folder: Path) -> None:
        """The same, after ONNX Runtime's ``quantize_dynamic`` at its defaults.

        It takes the standard's Attention for its own operator of that name and writes a graph that does not load: left out.
        """
        import onnx
        from onnxruntime.quantization import quantize_dynamic
        from onnxruntime.quantization.registry import IntegerOpsRegistry

        operators = [name for name in IntegerOpsRegistry if name != "Attention"]
        quantize_dynamic(onnx.load(self.float32), folder / "model.onnx", op_types_to_quantize=operators)
        self._tokenizer(folder)

    def transformer(self, folder: Path) -> None:
        """The transformer alone, ``last_hidden_state`` out, as exporters without pooling write it."""
        from embedrt_bench.engines.tracing import trace_transformer

        trace_transformer(self._source.checkpoint, folder / "model.onnx")
        self._tokenizer(folder)

    def word_embeddings(self, folder: Path) -> None:
        """The word embeddings, float32 (vocabulary, hidden), as table.npy."""
        from embedrt_bench.engines.tracing import word_embeddings

        np.save(folder / "table.npy", word_embeddings(self._source.checkpoint))
        self._tokenizer(folder)

    def openvino(self, folder: Path) -> None:
        """OpenVINO's float32 and int8 files, written by ``openvino_files.py`` in the peer's environment."""
        texts = folder / "calibration.json"
        texts.write_text(json.dumps(list(self._source.calibration)), encoding="utf-8")
        script = Path(__file__).resolve().with_name("openvino_files.py")
        command = [python_of("openvino"), "-P", script, self._source.checkpoint, folder, texts]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=_offline(), check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-TAIL:].strip())

    def _tokenizer(self, folder: Path) -> None:
        for name in _TOKENIZER_FILES:
            shutil.copyfile(self._source.artifact / name, folder / name)
        theirs = json.loads((self._source.artifact / "tokenizer_config.json").read_text(encoding="utf-8"))
        pad = theirs["pad_token"]
        ours: dict[str, Any] = {"model_max_length": self._manifest.serving.max_seq_length, "pad_token": pad}
        (folder / "tokenizer_config.json").write_text(json.dumps(ours), encoding="utf-8")
        (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": pad}), encoding="utf-8")


MAKERS: dict[str, Callable[[Prepared, Path], None]] = {
    "whole-graph": Prepared.whole_graph,
    "dynamic-int8": Prepared.dynamic_int8,
    "transformer": Prepared.transformer,
    "word-embeddings": Prepared.word_embeddings,
    "openvino": Prepared.openvino,
}


def _offline() -> dict[str, str]:
    return {**os.environ, **thread_environment(os.cpu_count() or 1)}
