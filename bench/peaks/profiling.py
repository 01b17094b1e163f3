"""Where ONNX Runtime spends its time: share of each operator, by its own profiler."""

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from embedrt.artifact.folder import locate, open_tokenizer
from embedrt.inference.batching import padded_arrays, plan_batches
from embedrt.inference.session import GraphSession
from embedrt.text.tokenizer import TokenRows

__all__ = ["operator_shares"]

_SMALLEST_SHARE = 0.005


def operator_shares(artifact: Path, variant: str, texts: Sequence[str]) -> dict[str, float]:
    """Share of the kernel time of each operator type, largest first, one thread; small ones together as ``other``."""
    found = locate(artifact, variant=variant)
    tokens = open_tokenizer(found.tokenizer).encode(texts)
    with tempfile.TemporaryDirectory() as place:
        profile = _profiled(found.graph, Path(place), tokens)
    times: Counter[str] = Counter()
    for event in json.loads(profile):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            times[event["args"]["op_name"]] += event["dur"]
    total = sum(times.values())
    shares = {name: time / total for name, time in times.most_common() if time / total >= _SMALLEST_SHARE}
    return {**shares, "other": 1 - sum(shares.values())}


def _profiled(graph: Path, place: Path, tokens: TokenRows) -> str:
    session = GraphSession(graph, threads=1, profile_prefix=place / "profile")
    for batch in plan_batches(tokens.lengths, token_budget=512):
        session.run(*padded_arrays(tokens, batch, pad_token_id=0, padding_side="right"))
    return session.end_profiling().read_text(encoding="utf-8")
