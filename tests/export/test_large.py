"""A model above 2 GB: weights in a file beside the graph, written, hashed, loaded, and not held three times over."""

import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from embedrt import SentenceEncoder
from embedrt.artifact.manifest import Manifest
from embedrt.errors import IntegrityError

_MAKE = """
import sys
import torch
from embedrt_bench.compatibility.tokenizers import small_tokenizer
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import BertConfig, BertModel

config = BertConfig(vocab_size=560_000, hidden_size=1024, num_hidden_layers=1, num_attention_heads=16, intermediate_size=1024)
with torch.device("meta"):
    model = BertModel(config)
model = model.to_empty(device="cpu")
with torch.no_grad():
    torch.manual_seed(0)
    for name, weight in model.named_parameters():
        weight.normal_(1.0 if name.endswith("LayerNorm.weight") else 0.0, 0.02)
model.embeddings.position_ids = torch.arange(512)[None]
model.embeddings.token_type_ids = torch.zeros(1, 512, dtype=torch.long)
model.save_pretrained(sys.argv[1] + "/plain")
small_tokenizer("wordpiece", max_length=64).save_pretrained(sys.argv[1] + "/plain")
modules = [Transformer(sys.argv[1] + "/plain"), Pooling(1024, pooling_mode="mean"), Normalize()]
SentenceTransformer(modules=modules, device="cpu").save(sys.argv[1] + "/checkpoint")
"""
_EXPORT = """
import resource
import sys
import embedrt_export

import torch
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
embedrt_export.export(sys.argv[1] + "/checkpoint", sys.argv[1] + "/out", quiet=True)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.slow
def test_a_model_above_two_gigabytes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _MAKE, str(tmp_path)], check=True)
    done = subprocess.run([sys.executable, "-c", _EXPORT, str(tmp_path)], check=True, capture_output=True, text=True)
    out = tmp_path / "out"
    manifest = Manifest.from_json((out / "embedrt.json").read_bytes())
    data = manifest.files["onnx/model.onnx_data"]
    assert data.bytes > 2**31
    assert (out / "onnx/model.onnx").stat().st_size < 10_000_000
    assert int(done.stdout) < 3 * data.bytes, "memory of the export, beyond the libraries"
    graph = onnx.load(out / "onnx/model.onnx", load_external_data=False).graph
    places = {entry.value for tensor in graph.initializer for entry in tensor.external_data if entry.key == "location"}
    assert places == {"model.onnx_data"}
    assert manifest.variants["fp32"].parity.max_abs_difference <= 1e-5
    with SentenceEncoder(out) as encoder:
        assert encoder.encode(["a cat", "忘记密码怎么办"]).shape == (2, 1024)
    with (out / "onnx/model.onnx_data").open("r+b") as file:
        file.seek(2**31)
        file.write(b"\xff" * 16)
    with pytest.raises(IntegrityError, match=r"model\.onnx_data"):
        SentenceEncoder(out)
