"""The catalogue, the environments of peers, and who takes part in a run."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedrt_bench.engines import catalogue as engines
from embedrt_bench.engines import lineup, peers
from embedrt_bench.engines.catalogue import REFERENCE, EngineSpec, catalogue, specification, why_unavailable
from embedrt_bench.engines.lineup import Lineup
from embedrt_bench.engines.prepared import MAKERS, Prepared, Source
from embedrt_bench.engines.process import EngineError
from embedrt_bench.scenarios.sizes import install_bytes

from embedrt.errors import InputError

HERE = Path(__file__).resolve().parent


@pytest.fixture
def source(tiny: Path, tmp_path: Path) -> Source:
    return Source(artifact=tiny, checkpoint=tmp_path / "checkpoint", calibration=())


@pytest.fixture
def prepared(source: Source, tmp_path: Path) -> Prepared:
    return Prepared(source, place=tmp_path / "files")


def test_catalogue() -> None:
    assert catalogue() == (
        *("embedrt fp32", "embedrt int8", "embedrt int8-static"),
        *("sentence-transformers float32", "sentence-transformers bfloat16"),
        *("sentence-transformers OpenVINO", "sentence-transformers OpenVINO int8"),
        *("fastembed fp32", "fastembed fp32, batch 32", "fastembed dynamic int8", "fastembed dynamic int8, batch 32"),
        *("light-embed", "onnxruntime, pooling in numpy", "static vectors"),
    )
    assert REFERENCE in catalogue()
    environments = {specification(name).environment for name in catalogue()}
    assert environments == {peers.OWN, *peers.PEERS}
    with pytest.raises(InputError, match="there is no engine 'fastembed'; there are: embedrt fp32; "):
        specification("fastembed")


def test_only_static_vectors_may_be_wrong() -> None:
    assert [name for name in catalogue() if specification(name).smallest_cosine is None] == ["static vectors"]
    lossy = [name for name in catalogue() if (specification(name).smallest_cosine or 0) < engines.EXACT]
    assert all("int8" in name or "bfloat16" in name or name == "static vectors" for name in lossy)


def test_batch_sizes_of_fastembed(source: Source, prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Prepared, "folder", lambda self, name: Path(name))
    found = {
        name: specification(name).options(source, prepared) for name in catalogue() if name.startswith("fastembed")
    }
    assert found["fastembed fp32"] == {"folder": "whole-graph", "batch_size": 256}
    assert found["fastembed dynamic int8, batch 32"] == {"folder": "dynamic-int8", "batch_size": 32}


def test_every_option_is_one_that_its_loader_takes(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    import inspect

    from embedrt_bench.engines.loaders import LOADERS

    monkeypatch.setattr(Prepared, "folder", lambda self, name: Path(name))
    for name in catalogue():
        spec = specification(name)
        parameters = inspect.signature(LOADERS[spec.loader]).parameters
        required = {key for key, parameter in parameters.items() if parameter.default is parameter.empty}
        given = {*spec.options(source, Prepared(source)), "threads"}
        assert required <= given <= set(parameters), name


@pytest.mark.parametrize(
    ("there", "counted"),
    [
        ("model.safetensors pytorch_model.bin config.json 1_Pooling/config.json", "config.json model.safetensors"),
        ("pytorch_model.bin config.json vocab.txt", "config.json pytorch_model.bin"),
        (
            "model-1-of-2.safetensors model-2-of-2.safetensors model.json",
            "model-1-of-2.safetensors model-2-of-2.safetensors",
        ),
        ("model.safetensors 2_Dense/model.safetensors", "2_Dense/model.safetensors model.safetensors"),
    ],
)
def test_files_of_a_checkpoint(source: Source, prepared: Prepared, there: str, counted: str) -> None:
    for name in there.split():
        path = source.checkpoint / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    files = specification(REFERENCE).files(source, prepared)
    assert sorted(str(path.relative_to(source.checkpoint)) for path in files) == counted.split()


def test_an_environment_that_is_not_built(tmp_path: Path) -> None:
    for name in peers.PEERS:
        assert peers.why_missing(name, place=tmp_path) == "its environment is not built: make bench-peers"
    assert peers.why_missing(peers.OWN, place=tmp_path) is None
    assert peers.python_of(peers.OWN) == Path(sys.executable)


def test_building(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr("embedrt_bench.engines.peers.subprocess.run", lambda command, **_: commands.append(command))
    monkeypatch.setattr(
        "embedrt_bench.engines.peers.venv.create", lambda folder, **_: (folder / "bin").mkdir(parents=True)
    )
    peers.build("openvino", place=tmp_path)
    install, remove = commands
    assert install[0] == str(tmp_path / "openvino/bin/python")
    assert install[-1].endswith("requirements/openvino.txt")
    assert "--constraint" in install
    assert remove[-1] == "torchvision"
    assert (
        peers.why_missing("openvino", place=tmp_path) == "its environment is not built: make bench-peers"
    )  # no interpreter
    (tmp_path / "openvino/bin/python").touch()
    assert peers.why_missing("openvino", place=tmp_path) is None
    (tmp_path / "openvino/built.sha256").write_text("of before", encoding="ascii")
    assert "built from other requirements" in str(peers.why_missing("openvino", place=tmp_path))


def test_a_build_that_fails_leaves_no_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(command: list[str], **_: Any) -> None:
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr("embedrt_bench.engines.peers.subprocess.run", failing)
    monkeypatch.setattr(
        "embedrt_bench.engines.peers.venv.create", lambda folder, **_: (folder / "bin").mkdir(parents=True)
    )
    with pytest.raises(subprocess.CalledProcessError):
        peers.build("fastembed", place=tmp_path)
    assert peers.why_missing("fastembed", place=tmp_path) is not None


def test_reasons(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_unavailable(specification("embedrt fp32"), source) is None
    missing = why_unavailable(specification("embedrt int8"), source)
    assert missing == "the artifact has no variant int8: embedrt quantize tiny int8"
    monkeypatch.setattr("embedrt_bench.engines.catalogue.importlib.util.find_spec", lambda name: None)
    reason = why_unavailable(specification(REFERENCE), source)
    assert reason == "sentence-transformers is not installed: pip install sentence-transformers"


def made_up(name: str, function: str, **more: Any) -> EngineSpec:
    return EngineSpec(
        name=name, loader="imported", distribution="", module="json", files=lambda source, prepared: [],
        options=lambda source, prepared: {"module": "made_up_engines", "function": function}, **more,
    )  # fmt: skip


@pytest.fixture
def made_up_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    specs = [
        made_up(REFERENCE, "quiet"),
        made_up("noisy", "noisy"),
        made_up("wrong", "slow_to_wake"),
        made_up("wrong on purpose", "slow_to_wake", smallest_cosine=None),
        made_up("broken", "broken"),
        made_up("elsewhere", "quiet", environment="openvino"),
    ]
    monkeypatch.setattr(engines, "_BY_NAME", {spec.name: spec for spec in specs})
    monkeypatch.setattr(
        engines, "why_missing", lambda name: None if name == peers.OWN else "not built: make bench-peers"
    )


@pytest.mark.usefixtures("made_up_catalogue")
def test_lineup(source: Source, prepared: Prepared, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("noisy", "broken", "wrong", "elsewhere", REFERENCE, "wrong on purpose")
    with Lineup(names, source, prepared, threads=1) as line:
        line.open(["one text", "and another one"])
        assert line.names == ["noisy", REFERENCE, "wrong on purpose"]
        assert line.running[1] is line.reference
        described = line.describe()
        assert list(described) == list(names)  # nobody is dropped, nor moved
        assert described["noisy"] == {
            "available": True,
            "settings": {"threads": "1", "kind": "noisy"},
            "environment": "own",
        }
        assert described["elsewhere"] == {"available": False, "reason": "not built: make bench-peers"}
        assert described["broken"]["reason"] == "'load' failed: ImportError: a library is not there"
        assert "its vectors are not the model's: smallest cosine" in described["wrong"]["reason"]
        assert "not measured: broken: 'load' failed" in capsys.readouterr().err

        calls = []

        def scenario() -> list[float]:
            calls.append(line.names)
            return [engine.time(["die" if engine.name == "noisy" else "text"]) for engine in line.running]

        assert len(line.measure(scenario)) == 2
        assert calls == [["noisy", REFERENCE, "wrong on purpose"], [REFERENCE, "wrong on purpose"]]
        assert "ended with status 7" in line.describe()["noisy"]["reason"]

        def hopeless() -> None:
            raise EngineError("somebody else", "failed")

        with pytest.raises(EngineError, match="somebody else: failed"):
            line.measure(hopeless)


@pytest.mark.usefixtures("made_up_catalogue")
def test_files_that_cannot_be_made(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two engines want the same files: each leaves in its own name, and the others stay."""

    def failing(self: Prepared, folder: Path) -> None:
        raise TypeError("this model has no token types")

    monkeypatch.setitem(MAKERS, "openvino", failing)
    for name in ("OpenVINO", "OpenVINO int8"):
        spec = replace(made_up(name, "quiet"), options=lambda _, prepared: {"folder": str(prepared.folder("openvino"))})
        monkeypatch.setitem(engines._BY_NAME, name, spec)
    with Lineup((REFERENCE, "OpenVINO", "OpenVINO int8"), source, Prepared(source, place=tmp_path), threads=1) as line:
        line.open(["a text"])
        assert line.names == [REFERENCE]
        reasons = {name: engine.get("reason") for name, engine in line.describe().items()}
    why = "its files could not be made: TypeError: this model has no token types"
    assert reasons == {REFERENCE: None, "OpenVINO": why, "OpenVINO int8": why}


@pytest.mark.usefixtures("made_up_catalogue")
def test_reference_that_takes_no_part(source: Source, prepared: Prepared) -> None:
    with Lineup(("noisy",), source, prepared, threads=1) as line:
        with pytest.raises(EngineError, match="nothing was opened yet"):
            _ = line.reference
        line.open(["a text"])
        assert line.names == ["noisy"]
        assert line.reference.name == REFERENCE
        assert list(line.describe()) == ["noisy"]


def test_reference_where_it_is_not_installed(
    source: Source, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_reference(spec: EngineSpec, at: Source) -> str | None:
        return "no" if spec.name == REFERENCE else why_unavailable(spec, at)

    monkeypatch.setattr(lineup, "why_unavailable", without_reference)
    with Lineup((REFERENCE, "embedrt fp32", "embedrt int8"), source, prepared, threads=1) as line:
        line.open(["how do i reset my password"])
        assert line.reference.name == "embedrt fp32"
        assert line.names == ["embedrt fp32"]
        assert not line.describe()[REFERENCE]["available"]


def test_prepared_files(write_artifact: Callable[..., Path], reference: Callable[..., Any], tmp_path: Path) -> None:
    """A whole graph as light runtimes want it; made once, and anew for another artifact."""
    artifact = write_artifact(tmp_path / "artifact")
    (artifact / "config.json").write_text('{"hidden_size": 8}', encoding="utf-8")
    (artifact / "tokenizer_config.json").write_text('{"pad_token": "[PAD]", "model_max_length": 999}', encoding="utf-8")
    source = Source(artifact=artifact, checkpoint=tmp_path, calibration=())
    folder = Prepared(source, place=tmp_path / "files").folder("whole-graph")
    assert {path.name for path in folder.iterdir()} == {
        *("model.onnx", "tokenizer.json", "config.json", "tokenizer_config.json", "special_tokens_map.json"),
    }
    assert '"model_max_length": 16' in (folder / "tokenizer_config.json").read_text(encoding="utf-8")
    (folder / "kept").touch()
    assert (Prepared(source, place=tmp_path / "files").folder("whole-graph") / "kept").exists()
    (artifact / "embedrt.json").write_bytes((artifact / "embedrt.json").read_bytes() + b"\n")
    assert not (Prepared(source, place=tmp_path / "files").folder("whole-graph") / "kept").exists()


def test_half_made_files_are_not_kept(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: Prepared, folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("no space")

    monkeypatch.setitem(MAKERS, "whole-graph", failing)
    prepared = Prepared(source, place=tmp_path / "files")
    for _ in range(2):
        with pytest.raises(OSError, match="no space"):
            prepared.folder("whole-graph")
    assert not list((tmp_path / "files").rglob("half"))


def test_install_size() -> None:
    runtime = install_bytes(Path(sys.executable), ["embedrt[cpu]"])
    assert runtime is not None
    numpy = sum(path.stat().st_size for path in Path(str(np.__file__)).parent.rglob("*.so"))
    assert numpy < runtime < 600e6  # torch alone is more
    assert install_bytes(Path(sys.executable), ["not-a-distribution-at-all"]) is None


@pytest.mark.parametrize(("there", "runs"), [([], False), (["avx2", "avx512f"], False), (["avx512_bf16"], True)])
def test_bfloat16_needs_a_processor_that_has_it(
    source: Source, monkeypatch: pytest.MonkeyPatch, there: list[str], runs: bool
) -> None:
    monkeypatch.setattr(engines, "instructions", lambda: there)
    reason = why_unavailable(specification("sentence-transformers bfloat16"), source)
    assert (reason is None) is runs
    assert runs or "the processor has none of avx512_bf16" in str(reason)
    assert why_unavailable(specification("sentence-transformers float32"), source) is None
