"""Which setting gives the most faithful vectors: every candidate is built, and encodes some of the calibration texts."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from embedrt_export.packing.writing import write_graph
from embedrt_export.parity.distance import row_cosines
from embedrt_export.quantization.judge import Judge
from embedrt_export.quantization.plan import Plan
from embedrt_export.quantization.scheme import SETTINGS, Setting
from tqdm import tqdm

from embedrt.artifact.folder import Artifact
from embedrt.errors import ManifestError

__all__ = ["search_setting"]

_TEXTS = 96


def search_setting(found: Artifact, plan: Plan, judge: Judge, texts: Sequence[str], *, quiet: bool) -> Setting:
    """The candidate that leaves the fewest products in float and, among these, has the largest mean cosine to float32."""
    if found.manifest is None:
        raise ManifestError(f"{found.folder} has no manifest")
    some = texts[:: max(1, len(texts) // _TEXTS)]
    expected = judge.vectors(found.folder, "fp32", some)
    scores: dict[Setting, tuple[int, float]] = {}
    for setting in tqdm(SETTINGS, desc="  search", unit="setting", disable=quiet, leave=False):
        with tempfile.TemporaryDirectory(prefix=".search.", dir=found.folder) as place:
            graph = Path(place) / "model.onnx"
            built = plan.build(setting)
            write_graph(built.model, graph, found.manifest.serving)
            cosine = float(row_cosines(expected, judge.vectors(graph, None, some)).mean())
            scores[setting] = (-built.products["float"], cosine)
    return max(scores, key=lambda setting: scores[setting])
