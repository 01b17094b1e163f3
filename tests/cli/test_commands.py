"""Every command but ``embed``; most are called in this process, a few in a real one."""

import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import pytest
from embedrt_export import quantization
from embedrt_export.changes import Changes
from embedrt_export.quantization import QuantizeOptions

from embedrt import SentenceEncoder
from embedrt.artifact.manifest import Manifest

Run = Callable[..., Any]
Refused = Callable[[Any, int, str], None]
TEXTS = ["How do I reset my password?", "", "忘记密码怎么办？", "a cat sat on the mat"]
QUERY = "[query] :cat: "


def test_inspect(run: Run, prompted: Path) -> None:
    ended = run("inspect", prompted)
    assert (ended.code, ended.err) == (0, "")
    for shown in ("tests/tiny", "16 tokens", f"query: {QUERY!r}", "onnx/model_other.onnx", "0.0e+00", "1.000000"):
        assert shown in ended.out
    written = json.loads((prompted / "embedrt.json").read_text(encoding="utf-8"))
    assert json.loads(run("inspect", prompted, "--json").out) == written


@pytest.mark.parametrize("command", ["inspect", "tune", "verify"])
def test_folder_without_manifest(run: Run, tiny: Path, tmp_path: Path, command: str, assert_refused: Refused) -> None:
    shutil.copytree(tiny, tmp_path / "bare", ignore=shutil.ignore_patterns("embedrt.json"))
    ended = run(command, tmp_path / "bare")
    assert_refused(ended, 1, f"{tmp_path / 'bare'} has no embedrt.json")
    assert re.search(r"pass (their|the) folder", ended.err)


def test_similarity(run: Run, tiny: Path, encoder: SentenceEncoder) -> None:
    texts = ["[bold]a cat[/nothing] :cat:", "hello", "hello " * 20]
    vectors = encoder.encode(texts)
    scores = encoder.similarity(vectors, vectors)
    answer = json.loads(run("similarity", tiny, *texts, "--json").out)
    assert answer["texts"] == texts
    np.testing.assert_array_equal(np.array(answer["similarity"], dtype=np.float32), scores)
    rows = [line.split("│")[2:-1] for line in run("similarity", tiny, *texts).out.splitlines() if line.startswith("│")]
    assert [row[0].strip() for row in rows] == [*texts[:2], texts[2][:59] + "…"]
    np.testing.assert_allclose(np.array([row[1:] for row in rows], dtype=float), scores, atol=5.01e-4)


def test_verify(run: Run, tiny: Path, tmp_path: Path, assert_refused: Refused) -> None:
    ended = run("verify", tiny)
    assert ended == (0, f"{tiny}: every file that serving reads is the one that the manifest names\n", "")
    assert json.loads(run("verify", tiny, "--json").out) == {"hashes": "ok"}
    copy = shutil.copytree(tiny, tmp_path / "copy")
    for name in ("onnx/model.onnx", "tokenizer.json"):
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        assert_refused(run("verify", copy), 1, f"{copy / name} has SHA-256")
        (copy / name).write_bytes(whole)


@pytest.mark.parametrize("command", [("export", "MODEL", "OUT"), ("verify", "ARTIFACT", "--against", "MODEL")])
def test_exporter_is_not_installed(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], assert_refused: Refused
) -> None:
    find = importlib.util.find_spec
    missing = ("torch", "optimum")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find(name))
    message = 'torch, optimum not installed: the exporter needs PyTorch and more. Type: pip install "embedrt[export]"'
    assert_refused(run(*command), 1, message)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, prompted: Path) -> dict[str, Any]:
    """What the exporter and the quantizer are called with; nothing is exported or quantized."""
    received: dict[str, Any] = {"calls": []}
    manifest = Manifest.from_json((prompted / "embedrt.json").read_bytes())
    variants = dict.fromkeys(("int8", "int8-static", "fp16"), manifest.variants["other"])
    answer = Manifest(
        serving=manifest.serving,
        source=manifest.source,
        default_variant="fp32",
        variants={**manifest.variants, **variants},
        files=manifest.files,
    )

    def export(model: str, out: Path, **options: Any) -> Manifest:
        received.update(options, model=model, out=out)
        return manifest

    def quantize(artifact: str, precision: str, **options: Any) -> Manifest:
        received["calls"].append((artifact, precision))
        received.update(options)
        return answer

    monkeypatch.setattr(embedrt_export, "export", export)
    monkeypatch.setattr(quantization, "quantize", quantize)
    return received


QUANTIZE = (
    *("--calibration", "a.txt", "--processor", "avx2", "--gate", "0.9", "--sts", "sts", "--allow-below-gate"),
    *("--attention", "lengths"),
)
WANTED = QuantizeOptions(
    calibration=Path("a.txt"), processor="avx2", gate=0.9, sts=Path("sts"), allow_below_gate=True, attention="lengths"
)


def test_export_passes_everything_on(run: Run, prompted: Path, given: dict[str, Any]) -> None:
    ended = run("export", "MODEL", "OUT")
    manifest = Manifest.from_json((prompted / "embedrt.json").read_bytes())
    for name, variant in manifest.variants.items():
        size = manifest.files[variant.file].bytes / 1e6
        facts = (
            f"{Path('OUT') / variant.file}: {name}, {size:.1f} MB, max |Δ| 0.0e+00, cosine mean 1.00000, min 1.00000\n"
        )
        assert facts in ended.out
    assert (ended.code, ended.out.count("\n"), ended.err) == (0, 2, "")
    off = dict.fromkeys(("token_embeddings", "maxsim", "trust_remote_code", "overwrite", "quiet"), False)
    plain: dict[str, Any] = {
        "revision": None,
        "pooling": None,
        "kind": None,
        "route": None,
        "changes": Changes(),
        "precisions": [],
        "quantize_options": QuantizeOptions(),
        **off,
    }
    assert given == {"calls": [], "model": "MODEL", "out": Path("OUT"), **plain}
    switches = ("--token-embeddings", "--maxsim", "--trust-remote-code", "--overwrite", "--quiet", "--json")
    options = (
        "--pooling",
        "cls",
        "--pooling",
        "max",
        "--kind",
        "dense",
        "--route",
        "query",
        "--revision",
        "v1",
        *switches,
        *QUANTIZE,
        *("--keep-vocabulary-of", "one.txt", "--keep-vocabulary-of", "two.txt"),
        *("--whiten", "corpus.txt", "--dims", "8"),
    )
    precisions = [item for name in ("fp32", "int8", "int8-static", "fp16") for item in ("--precision", name)]
    ended = run("export", "MODEL", "OUT", *options, *precisions)
    assert ended == (0, (prompted / "embedrt.json").read_text(encoding="utf-8"), "")
    assert given == {
        **given,
        "revision": "v1",
        "pooling": ["cls", "max"],
        "kind": "dense",
        "route": "query",
        "changes": Changes(
            keep_vocabulary_of=(Path("one.txt"), Path("two.txt")),
            whiten=Path("corpus.txt"),
            dims=8,
            sts=Path("sts"),
        ),
        "precisions": ["int8", "int8-static", "fp16"],
        "quantize_options": WANTED,
        **dict.fromkeys(off, True),
    }


@pytest.mark.parametrize(
    "option",
    [
        ("--calibration", "a.txt"),
        ("--processor", "avx2"),
        ("--gate", "0"),
        ("--allow-below-gate",),
        ("--attention", "lengths"),
        ("--sts", "sts"),
    ],
)
def test_export_refuses_what_only_variants_read(
    run: Run, given: dict[str, Any], assert_refused: Refused, option: tuple[str, ...]
) -> None:
    message = f"{option[0]} is for variants beside fp32: pass --precision int8 too, or leave it out"
    assert_refused(run("export", "MODEL", "OUT", "--precision", "fp32", *option), 2, message)
    assert "changes" not in given
    ended = run("export", "VECTORS", "--word-vectors", "words.txt", *option)
    assert_refused(ended, 2, f"{option[0]} is for checkpoints, and a file of word vectors is none: leave it out")


def test_export_distills(run: Run, given: dict[str, Any]) -> None:
    assert run("export", "MODEL", "OUT", "--static", "--dims", "8").code == 0
    assert given["changes"] == Changes(static=True, dims=8)


def test_quantize_passes_everything_on(run: Run, given: dict[str, Any]) -> None:
    ended = run("quantize", "ARTIFACT", "--precision", "int8")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "onnx/model_other.onnx: 0.0 MB, cosine to fp32 mean 1.00000, p01 1.00000, min 1.00000\n"
    off = {"make_default": False, "quiet": False}
    assert given == {"calls": [("ARTIFACT", "int8")], "options": QuantizeOptions(), **off}
    switches = ("--default", "--json", "--quiet")
    ended = run("quantize", "ARTIFACT", "--precision", "int8-static", "--precision", "fp16", *switches, *QUANTIZE)
    assert (ended.code, ended.err) == (0, "")
    assert list(Manifest.from_json(ended.out).variants) == ["fp32", "other", "int8", "int8-static", "fp16"]
    assert given["calls"][1:] == [("ARTIFACT", "int8-static"), ("ARTIFACT", "fp16")]
    assert given == {**given, "options": WANTED, "make_default": True, "quiet": True}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--precision", "int4"), "precision is 'int4', expected one of int8, int8-static, fp16"),
        (("--precision", "fp32"), "fp32 is what an artifact begins with: nothing to do"),
        (("--precision", "int8", "--gate", "95"), "gate is 95.0, expected a cosine from 0 to 1"),
        (("--precision", "int8", "--calibration", "no[red]such.txt"), "no[red]such.txt cannot be read"),
        (("--precision", "int8"), "nothing to do: "),
    ],
)
def test_quantize_refuses(
    run: Run, tiny: Path, assert_refused: Refused, options: tuple[str, ...], message: str
) -> None:
    before = sorted(tiny.rglob("*"))
    assert_refused(run("quantize", tiny, "--quiet", *options), 2, message)
    assert sorted(tiny.rglob("*")) == before


def test_quantize_without_a_manifest(run: Run, tiny: Path, tmp_path: Path, assert_refused: Refused) -> None:
    shutil.copytree(tiny, tmp_path / "bare", ignore=shutil.ignore_patterns("embedrt.json"))
    message = f"{tmp_path / 'bare'} has no embedrt.json"
    assert_refused(run("quantize", tmp_path / "bare", "--precision", "int8"), 1, message)


def test_export_refuses_an_unknown_precision(run: Run, tmp_path: Path, assert_refused: Refused) -> None:
    ended = run("export", "MODEL", tmp_path / "out", "--precision", "int8", "--precision", "int4")
    assert_refused(ended, 2, "precision is int4, expected some of fp32, int8, int8-static, fp16")
    assert list(tmp_path.iterdir()) == []


def test_quantizer_is_not_installed(run: Run, monkeypatch: pytest.MonkeyPatch, assert_refused: Refused) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx_ir" else find(name))
    message = 'onnx_ir not installed: quantization edits graphs. Type: pip install "embedrt[quantize]"'
    assert_refused(run("quantize", "ARTIFACT", "--precision", "int8"), 1, message)


def test_beside_an_onnxruntime_for_cuda_extras_are_not_advised(
    run: Run, monkeypatch: pytest.MonkeyPatch, assert_refused: Refused
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("embedrt.cli.export.onnxruntime_packages", lambda: {"onnxruntime-gpu": "1.31.1"})
    message = (
        "onnx, onnx_ir not installed: quantization edits graphs. Type: pip install onnx onnx-ir "
        "(embedrt[quantize] would bring onnxruntime, which overwrites onnxruntime-gpu)"
    )
    assert_refused(run("quantize", "ARTIFACT", "--precision", "fp16"), 1, message)


def test_version_and_help(run: Run) -> None:
    assert run("--version") == (0, importlib.metadata.version("embedrt") + "\n", "")
    asked, bare = run("--help"), run()
    assert (asked.code, bare.code) == (0, 2)
    for command in ("export", "quantize", "verify", "inspect", "embed", "similarity"):
        assert f" {command} " in asked.out
        assert f" {command} " in bare.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("frobnicate",), "No such command"),
        (("embed",), "Missing argument"),
        (("embed", "MODEL", "-", "--precision", "int4"), "Invalid value for '--precision'"),
        (("embed", "MODEL", "-", "--threads", "0"), "Invalid value for '--threads'"),
        (("similarity", "MODEL", "one text alone"), "one text has nothing to be compared with"),
    ],
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...], message: str) -> None:
    ended = run(*arguments)
    assert message in ended.err
    assert (ended.code, ended.out) == (2, "")


def embedrt(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """A real process."""
    command = [sys.executable, "-m", "embedrt", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)


def test_process(tiny: Path, encoder: SentenceEncoder) -> None:
    done = embedrt("embed", tiny, "-", stdin="\n".join(TEXTS).encode())
    assert (done.returncode, done.stderr) == (0, b"")
    np.testing.assert_array_equal(
        np.array([json.loads(line)["embedding"] for line in done.stdout.splitlines()], dtype=np.float32),
        encoder.encode(TEXTS),
    )


@pytest.mark.parametrize(
    ("arguments", "code", "path"),
    [
        (("inspect", "./no[bold]such[1]\\[/x]:cat:"), 1, "./no[bold]such[1]\\[/x]:cat:: pass the folder"),
        (("embed", "MODEL", "no[red]such[/].txt"), 2, "no[red]such[/].txt cannot be read"),
    ],
)
def test_failed_process(arguments: tuple[str, ...], code: int, path: str, assert_refused: Refused) -> None:
    done = embedrt(*arguments)
    assert_refused((done.returncode, done.stdout.decode(), done.stderr.decode()), code, path)
