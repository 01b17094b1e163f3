"""Dense encoders: cosines of sentence vectors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from embedrt_export.parity.own_texts import own_texts
from embedrt_export.quantization.calibration import held_out_texts
from embedrt_export.quantization.fidelity import DEFAULT_GATE, measure, require_gate
from embedrt_export.quantization.judge import Judge, Trial

from embedrt import SentenceEncoder
from embedrt.artifact.folder import WORDS_FILE, tokenizer_in
from embedrt.artifact.manifest import Parity, Serving
from embedrt.text.tokenizer import TextTokenizer, TokenRows
from embedrt.text.words import read_words

__all__ = ["DENSE"]


def _tokens(tokenizer: TextTokenizer, _serving: Serving, texts: Sequence[str]) -> TokenRows:
    return tokenizer.encode(texts)


def _vectors(model: Path, variant: str | None, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    with SentenceEncoder(model, variant=variant) as encoder:
        vectors: npt.NDArray[np.float32] = encoder.encode(texts)
        return vectors


def _measure(trial: Trial) -> Parity:
    with SentenceEncoder(trial.folder, variant="fp32") as exact, SentenceEncoder(trial.graph) as variant:
        texts = [*held_out_texts(), *_own_texts(trial.folder)]
        return measure(exact, variant, texts, reference=trial.reference, sts=trial.sts)


def _own_texts(folder: Path) -> list[str]:
    """Texts that a model of whole words knows; none for others, which know all texts by their pieces."""
    if (path := tokenizer_in(folder)).name != WORDS_FILE:
        return []
    rules, words = read_words(path)
    return own_texts(words, split=rules.split)


DENSE = Judge(gate=DEFAULT_GATE, tokens=_tokens, vectors=_vectors, measure=_measure, require=require_gate)
