"""The gate: what is measured, what is refused, and what is kept in the manifest."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from embedrt_export.quantization import PRECISIONS, Precision, QuantizeOptions, fidelity, int8, plan, quantize, scheme
from embedrt_export.quantization.calibration import held_out_texts
from embedrt_export.quantization.fidelity import measure, require_gate
from embedrt_export.quantization.judges import JUDGES
from embedrt_export.quantization.rounding import Rounded, to_nearest

from embedrt import SentenceEncoder
from embedrt.artifact.manifest import Manifest
from embedrt.errors import FidelityError, InputError

Hashes = Callable[[Path], dict[str, str]]
pytestmark = pytest.mark.usefixtures("one_setting")


def three_bits(rounded: Rounded) -> Rounded:
    return to_nearest(rounded.weight * rounded.scales, 3)


def wrong_scales(rounded: Rounded) -> Rounded:
    """Every other column comes out half as large again."""
    scales = rounded.scales.copy()
    scales[::2] *= 1.5
    return Rounded(rounded.weight, scales)


def break_weights(monkeypatch: pytest.MonkeyPatch, broken: Callable[[Rounded], Rounded]) -> None:
    """After the errors of all products were found to be small."""
    whole = int8._rounded
    monkeypatch.setattr(int8, "_rounded", lambda *given, **named: broken(whole(*given, **named)))


@pytest.mark.parametrize("broken", [three_bits, wrong_scales])
@pytest.mark.parametrize("precision", ["int8", "int8-static"])
def test_broken_quantization_is_refused(
    copied: Path, hashes: Hashes, monkeypatch: pytest.MonkeyPatch, broken: Any, precision: Precision
) -> None:
    break_weights(monkeypatch, broken)
    before = hashes(copied)
    with pytest.raises(FidelityError) as refused:
        quantize(copied, precision, quiet=True)
    assert hashes(copied) == before
    message = str(refused.value)
    assert "mean cosine to the float32 graph is 0." in message
    assert "expected at least 0.995; worst text " in message
    assert any(repr(text)[:20] in message for text in held_out_texts())
    blamed = message.partition("largest errors in ")[2].partition(". Pass")[0].split(", ")
    assert len(blamed) == 3
    assert set(blamed) <= {"query", "key", "value", "output", "up", "down", "project", "other"}
    assert message.endswith("--allow-below-gate to write it all the same")


def test_allowed_below_the_gate(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_weights(monkeypatch, three_bits)
    manifest = quantize(copied, "int8", options=QuantizeOptions(allow_below_gate=True), quiet=True)
    recorded = Manifest.from_json((copied / "embedrt.json").read_bytes()).variants["int8"].parity
    assert recorded == manifest.variants["int8"].parity
    assert recorded.cosine_min < recorded.cosine_p01 < recorded.cosine_mean < 0.995
    with SentenceEncoder(copied, variant="int8") as written:
        assert written.encode("a").shape == (32,)


def test_gate_is_settable(copied: Path, quantized: Path) -> None:
    mean = Manifest.from_json((quantized / "embedrt.json").read_bytes()).variants["int8"].parity.cosine_mean
    assert 0.995 < mean < 1
    with pytest.raises(FidelityError, match=r"expected at least 0\.999999"):
        quantize(copied, "int8", options=QuantizeOptions(gate=0.999999), quiet=True)
    quantize(copied, "int8", options=QuantizeOptions(gate=mean - 1e-9), quiet=True)


@pytest.mark.parametrize("gate", [-0.1, 1.01, float("nan"), 99.5])
def test_gate_out_of_range(gate: float) -> None:
    with pytest.raises(InputError, match="expected a cosine from 0 to 1"):
        QuantizeOptions(gate=gate)


def test_blamed_products_have_the_largest_errors(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = scheme.choose_scheme

    def choose(group: Any, *arguments: Any, **options: Any) -> Any:
        found = chosen(group, *arguments, **options)
        names = [linear.name for linear in group.linears]
        error = {"down": 0.09, "other": 0.08, "output": 0.07}.get(names[0], found.error)
        return dataclasses.replace(found, error=error)

    monkeypatch.setattr(plan, "choose_scheme", choose)
    with pytest.raises(FidelityError, match="largest errors in down, other, output"):
        quantize(copied, "int8", options=QuantizeOptions(gate=1.0), quiet=True)


class Fake:
    """Gives rows in the order of the texts."""

    def __init__(self, vectors: npt.NDArray[np.float32]) -> None:
        self.vectors, self.providers = vectors, ["CPUExecutionProvider"]

    def encode(self, sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        assert len(sentences) == len(self.vectors)
        return self.vectors


def compare(exact: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> Any:
    texts = [f"text {index}" for index in range(len(exact))]
    return measure(Fake(exact), Fake(found), texts, reference="exact", sts=None)  # type: ignore[arg-type]


def test_measured_numbers() -> None:
    angles = np.linspace(0, 1, 201)[np.random.default_rng(0).permutation(201)]
    exact = np.tile(np.array([[1, 0]], dtype=np.float32), (201, 1))
    found = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    parity = compare(exact, found)
    assert parity.cosine_mean == pytest.approx(np.cos(angles).mean(), abs=1e-6)
    assert parity.cosine_min == pytest.approx(np.cos(1), abs=1e-6)
    assert parity.cosine_p01 == pytest.approx(np.percentile(np.cos(angles), 1), abs=1e-6)
    assert parity.max_abs_difference == pytest.approx(np.sin(1), abs=1e-6)
    assert parity.texts == 201
    assert parity.worst_texts == tuple(f"text {index}" for index in np.argsort(-angles)[:3])


def test_nan_is_refused() -> None:
    exact = np.ones((5, 2), dtype=np.float32)
    found = exact.copy()
    found[3] = np.nan
    parity = compare(exact, found)
    assert parity.worst_texts[0] == "text 3"
    with pytest.raises(FidelityError, match=r"is nan, expected at least 0\.0; worst text 'text 3'"):
        require_gate(parity, 0.0, [])


def test_nan_from_a_graph_is_refused(copied: Path, hashes: Hashes, monkeypatch: pytest.MonkeyPatch) -> None:
    break_weights(monkeypatch, lambda rounded: Rounded(rounded.weight, rounded.scales * np.float32(np.nan)))
    before = hashes(copied)
    with pytest.raises(FidelityError, match="is nan"):
        quantize(copied, "int8", options=QuantizeOptions(gate=0.0), quiet=True)
    assert hashes(copied) == before


def test_gate_itself() -> None:
    exact = np.array([[1, 0]], dtype=np.float32)
    half = compare(exact, np.array([[0.6, 0.8]], dtype=np.float32))
    require_gate(half, 0.59, [])
    with pytest.raises(FidelityError, match=r"0\.60000, expected at least 0\.61; .* no single product"):
        require_gate(half, 0.61, [])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_manifest_tells_the_truth(quantized: Path, precision: str) -> None:
    """Numbers and worst texts again, from the artifact alone."""
    recorded = json.loads((quantized / "embedrt.json").read_text(encoding="utf-8"))["variants"][precision]["parity"]
    texts = held_out_texts()
    with SentenceEncoder(quantized, variant="fp32") as exact, SentenceEncoder(quantized, variant=precision) as variant:
        expected, found = exact.encode(texts).astype(np.float64), variant.encode(texts).astype(np.float64)
    cosines = (expected * found).sum(axis=1)
    cosines /= np.sqrt(np.square(expected).sum(axis=1) * np.square(found).sum(axis=1))
    assert recorded["texts"] == 240
    assert recorded["cosine_mean"] == pytest.approx(cosines.mean(), abs=1e-9)
    assert recorded["cosine_min"] == pytest.approx(cosines.min(), abs=1e-9)
    assert recorded["worst_texts"] == [texts[index] for index in np.argsort(cosines, kind="stable")[:3]]
    assert recorded["reference"].startswith("the fp32 graph, itself within 0.0e+00 of itself")


def test_sts_change_is_recorded(copied: Path, tmp_path: Path) -> None:
    texts = held_out_texts()  # of few pairs, int8 may leave the order as it is
    lines = [f"{index % 6}\t{text}\t{other}" for index, (text, other) in enumerate(itertools.pairwise(texts))]
    (tmp_path / "sts").mkdir()
    (tmp_path / "sts/2012.some.test.tsv").write_text("\n".join(lines), encoding="utf-8")
    manifest = quantize(copied, "int8", options=QuantizeOptions(sts=tmp_path / "sts"), quiet=True)
    change = manifest.variants["int8"].parity.sts_change
    assert set(change) == {"STS12", "mean"}
    assert change["STS12"] == change["mean"] != 0
    assert abs(change["mean"]) < 5


def test_default_gate() -> None:
    assert QuantizeOptions().gate is None
    assert JUDGES["dense"].gate == fidelity.DEFAULT_GATE == 0.995
