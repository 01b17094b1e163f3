"""What cannot be quantized is said in one clear sentence, and nothing is touched; and none of it needs PyTorch."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from embedrt_export.quantization import PRECISIONS, Precision, QuantizeOptions, quantize

from embedrt.artifact.manifest import Manifest
from embedrt.errors import EmbedrtError, InputError, IntegrityError, ManifestError

Hashes = Callable[[Path], dict[str, str]]


def refused(artifact: Path, hashes: Hashes, precision: Any = "int8", **options: Any) -> EmbedrtError:
    """What was said; nothing may have changed."""
    before = hashes(artifact)
    with pytest.raises(EmbedrtError) as ended:
        quantize(artifact, precision, options=QuantizeOptions(**options), quiet=True)
    assert hashes(artifact) == before
    return ended.value


@pytest.mark.parametrize("precision", ["int4", "fp32", "", "INT8"])
def test_unknown_precision(transformer: Path, hashes: Hashes, precision: str) -> None:
    error = refused(transformer, hashes, precision)
    assert isinstance(error, InputError)
    assert str(error) == f"precision is {precision!r}, expected one of int8, int8-static, fp16"


@pytest.mark.parametrize("content", [b"", b"one text alone\n", b"\xff\xfe\x00binary", None])
def test_bad_calibration_file(transformer: Path, hashes: Hashes, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "texts.txt"
    if content is not None:
        path.write_bytes(content)
    assert isinstance(refused(transformer, hashes, calibration=path), InputError)


def test_unknown_processor() -> None:
    with pytest.raises(InputError, match="processor is 'sse2', expected one of any, avx2"):
        QuantizeOptions(processor="sse2")  # type: ignore[arg-type]


def test_no_artifact(tmp_path: Path, hashes: Hashes) -> None:
    with pytest.raises(InputError, match=r"there is no artifact folder at .*nowhere"):
        quantize(tmp_path / "nowhere", "int8", quiet=True)
    error = refused(tmp_path, hashes)
    assert isinstance(error, ManifestError)
    assert "has no embedrt.json: only artifacts" in str(error)
    (tmp_path / "embedrt.json").write_text("{", encoding="utf-8")
    assert "is not JSON" in str(refused(tmp_path, hashes))


def test_no_fp32(copied: Path, hashes: Hashes, edit_manifest: Callable[..., None]) -> None:
    def rename(content: dict[str, Any]) -> None:
        content["variants"] = {"other": content["variants"]["fp32"]}
        content["default_variant"] = "other"

    edit_manifest(copied, rename)
    assert "variant 'fp32' was asked for, but the artifact has other" in str(refused(copied, hashes))


@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_damaged_artifact(copied: Path, hashes: Hashes, name: str, precision: Precision) -> None:
    whole = (copied / name).read_bytes()
    (copied / name).write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    assert isinstance(refused(copied, hashes, precision), IntegrityError)
    (copied / name).unlink()
    assert isinstance(refused(copied, hashes, precision), IntegrityError)


@pytest.mark.parametrize("precision", ["int8", "int8-static"])
def test_nothing_to_quantize(tiny: Path, hashes: Hashes, precision: Precision) -> None:
    """The tiny artifact states no shapes inside of its graph, as static word vectors have no products."""
    error = refused(tiny, hashes, precision)
    assert isinstance(error, InputError)
    assert "nothing to do: " in str(error)
    assert "has no products of token vectors with weights" in str(error)


QUANTIZE = """
import json, sys
from embedrt_export.quantization import quantize, search
search.SETTINGS = search.SETTINGS[:1]
for precision in ("int8", "fp16"):
    quantize(sys.argv[1], precision, quiet=True)
heavy = ("torch", "transformers", "sentence_transformers", "optimum", "onnxscript")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


@pytest.mark.parametrize(("first", "loaded"), [("", []), ("import onnxscript\n", ["onnxscript"])])
def test_no_torch(
    copied: Path, run_python: Callable[..., subprocess.CompletedProcess[str]], first: str, loaded: list[str]
) -> None:
    done = run_python(first + QUANTIZE, copied)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == loaded
    assert list(Manifest.from_json((copied / "embedrt.json").read_bytes()).variants) == ["fp32", "int8", "fp16"]


def test_works_where_torch_is_not_installed(
    copied: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    absent = "import sys\nfor name in ('torch', 'transformers', 'sentence_transformers', 'optimum', 'onnxscript'):\n"
    done = run_python(absent + "    sys.modules[name] = None\n" + QUANTIZE.partition("heavy =")[0], copied)
    assert done.returncode == 0, done.stderr
