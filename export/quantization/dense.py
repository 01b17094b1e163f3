"""Dense encoders: cosines of sentence vectors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from embedrt_export.quantization.calibration import held_out_texts
from embedrt_export.quantization.fidelity import DEFAULT_GATE, measure, require_gate
from embedrt_export.quantization.judge import Judge, Trial

from embedrt import SentenceEncoder
from embedrt.manifest import Parity, Serving
from embedrt.text import TextTokenizer, TokenRows

__all__ = ["DENSE"]


def _tokens(tokenizer: TextTokenizer, _serving: Serving, texts: Sequence[str]) -> TokenRows:
    return tokenizer.encode(texts)


def _vectors(model: Path, variant: str | None, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    with SentenceEncoder(model, variant=variant) as encoder:
        vectors: npt.NDArray[np.float32] = encoder.encode(texts)
        return vectors


def _measure(trial: Trial) -> Parity:
    with SentenceEncoder(trial.folder, variant="fp32") as exact, SentenceEncoder(trial.graph) as variant:
        return measure(exact, variant, held_out_texts(), reference=trial.reference, sts=trial.sts)


DENSE = Judge(gate=DEFAULT_GATE, tokens=_tokens, vectors=_vectors, measure=_measure, require=require_gate)
