"""int8 cross-encoders: pairs to calibrate on, the gate on the order of scores, reports, and the same bits in any company."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from embedrt_export.parity.correlation import pearson, ranks, spearman
from embedrt_export.quantization import QuantizeOptions, quantize, search
from embedrt_export.quantization.calibration import calibration_texts, held_out_texts
from embedrt_export.quantization.pairs import opening, pairs_of
from embedrt_export.quantization.scheme import Setting
from scipy import stats

from embedrt import CrossEncoder
from embedrt.errors import FidelityError

Exported = Callable[[str], tuple[Path, Path]]


@pytest.fixture(scope="module")
def quantized(exported: Exported) -> Path:
    """The artifact of a look-alike with both int8 variants, whatever their fidelity, and a small STS folder beside it."""
    _, artifact = exported("MS-MARCO MiniLM")
    sts = artifact.parent / "sts"
    sts.mkdir()
    texts = held_out_texts()
    lines = [f"{number % 6}\t{texts[number]}\t{texts[number + number % 3]}" for number in range(40)]
    (sts / "2013.tiny.test.tsv").write_text("\n".join(line.replace("\n", " ") for line in lines), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "SETTINGS", (Setting(0.7, 100.0),))  # nothing to choose from: quicker
        for precision in ("int8", "int8-static"):
            options = QuantizeOptions(allow_below_gate=True, sts=sts if precision == "int8" else None)
            quantize(artifact, precision, options=options, quiet=True)
    return artifact


@pytest.mark.parametrize("variant", ["int8", "int8-static"])
def test_variants_agree_with_float32_in_any_company(quantized: Path, variant: str) -> None:
    exact, other = CrossEncoder(quantized, variant="fp32"), CrossEncoder(quantized, variant=variant)
    pairs = pairs_of(held_out_texts())[::5]
    expected, found = exact.predict(pairs), other.predict(pairs)
    assert 0 < np.abs(found - expected).max() < 0.5 * expected.std(), "another graph, and nearly the same scores"
    np.testing.assert_array_equal(np.stack([other.predict(pair) for pair in pairs]), found)
    np.testing.assert_array_equal(other.predict(pairs[::-1], batch_size=3), found[::-1])


def test_the_report(quantized: Path) -> None:
    """Measured again here, with scipy's correlations."""
    exact, other = CrossEncoder(quantized, variant="fp32"), CrossEncoder(quantized, variant="int8")
    manifest = exact._opened.artifact.manifest
    assert manifest is not None
    report = manifest.variants["int8"].parity
    pairs = pairs_of(held_out_texts())
    expected, found = exact.predict(pairs), other.predict(pairs)  # the identity: logits
    change = np.abs(found - expected)
    assert report.measures["spearman"] == pytest.approx(stats.spearmanr(expected, found).statistic, abs=1e-9)
    assert report.measures["pearson"] == pytest.approx(stats.pearsonr(expected, found).statistic, abs=1e-6)
    assert report.measures["largest_change"] == pytest.approx(change.max() / expected.std(), rel=1e-4)
    assert report.max_abs_difference == pytest.approx(change.max())
    worst = pairs[int(change.argmax())]
    assert report.worst_texts[0].startswith(worst[0][:30])
    assert report.texts == len(pairs) == 240
    assert set(report.sts_change) == {"STS13", "mean"}
    assert "ndcg_change" in report.measures
    unscored = manifest.variants["int8-static"].parity
    assert (unscored.sts_change, "ndcg_change" in unscored.measures) == ({}, False)


def test_the_gate_asks_for_the_order(quantized: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SETTINGS", (Setting(0.7, 100.0),))
    with pytest.raises(FidelityError) as refused:
        quantize(quantized, "int8", options=QuantizeOptions(gate=1.0), quiet=True)
    assert "the rank correlation of the logits with those of the float32 graph is 0.9" in str(refused.value)
    assert "expected at least 1.0; worst pair " in str(refused.value)  # quoted as its apostrophes allow
    assert " | " in str(refused.value)


def test_pairs_of_texts() -> None:
    pairs = pairs_of(calibration_texts(None))
    assert len(pairs) == 240
    related = [document.startswith(query) for query, document in pairs]
    assert sum(related) >= 120
    assert related[::2] == [True] * 120
    assert sum(related[1::2]) <= 6, "of another text's document hardly any query is the beginning"
    assert all(len(query) <= len(document) for query, document in pairs[::2])


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("It rains. Take a coat.", "It rains."),
        ("One sentence of six words only.", "One sentence of"),
        ("version 3.5 is out. Get it.", "version 3.5 is out."),
        ("忘记密码怎么办？旧手机找不到了。", "忘记密码怎么办？"),
        ("忘记密码", "忘记"),
        ("忘记密码怎么办？", "忘记密码"),
        ("", ""),
    ],
)
def test_openings(text: str, query: str) -> None:
    assert opening(text) == query


def test_correlations_are_those_of_scipy() -> None:
    random = np.random.default_rng(0)
    a = random.integers(0, 12, (3, 50)).astype(np.float64)
    b = a + random.normal(size=(3, 50))
    for row in range(3):
        np.testing.assert_allclose(ranks(a[row]), stats.rankdata(a[row]))
        assert pearson(a, b)[row] == pytest.approx(stats.pearsonr(a[row], b[row]).statistic)
        assert spearman(a, b)[row] == pytest.approx(stats.spearmanr(a[row], b[row]).statistic)
    assert pearson(np.ones((1, 4)), np.ones((1, 4))) == 1
    assert pearson(np.ones((1, 4)), np.arange(4.0)[None]) == 0
