"""A cross-encoder of the size of MS-MARCO MiniLM that ranks above chance, since no trained one can be had without a model hub.

The transformer and its pooler are those of the real all-MiniLM-L6-v2; the classifier behind them is fit to the gold scores
of the STS benchmark's train split by ridge regression, in closed form. It is a measuring stick for what int8 changes, not a
good reranker.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import embedrt_export
import numpy as np
import numpy.typing as npt
import torch
from embedrt_bench.models.cached import CACHE, cached
from embedrt_bench.models.minilm import checkpoint_folder, with_variants
from embedrt_bench.texts.data import sts_benchmark
from embedrt_export.quantization import Precision, QuantizeOptions
from sentence_transformers import CrossEncoder
from tqdm import tqdm
from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

__all__ = ["artifact", "checkpoint"]

_BATCH = 64
_PENALTY = 1.0
_SPREAD = 2.0  # logits a point of the gold score, which runs from 0 to 5: from about −5 to 5, as trained rerankers give
_LONGEST = 512

Features = npt.NDArray[np.float64]


def checkpoint(sts: Path, out: Path = CACHE / "reranker") -> Path:
    """The checkpoint at ``out``, as sentence-transformers saves it, made if it is not there from the STS files in ``sts``."""
    if (out / "config.json").is_file():
        return out
    source = str(checkpoint_folder())
    tokenizer = AutoTokenizer.from_pretrained(source, model_max_length=_LONGEST)
    config = AutoConfig.from_pretrained(source, num_labels=1)
    model = BertForSequenceClassification.from_pretrained(source, config=config).eval()
    pairs = sts_benchmark(sts, "train")
    weights, bias = _fitted(_features(model, tokenizer, pairs.first, pairs.second), np.array(pairs.gold))
    with torch.no_grad():
        model.classifier.weight.copy_(torch.from_numpy(weights[None, :]))
        model.classifier.bias.fill_(bias)
    plain = out.with_name(f"{out.name}-plain")
    model.save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    CrossEncoder(str(plain), device="cpu", activation_fn=torch.nn.Identity()).save(str(out))
    shutil.rmtree(plain)
    return out


def artifact(sts: Path, precisions: Sequence[Precision] = (), *, out: Path = CACHE / "reranker-artifact") -> Path:
    """The artifact of that checkpoint at ``out``, with these variants; what is missing is made."""
    cached(out, lambda: embedrt_export.export(str(checkpoint(sts)), out, overwrite=True))
    return with_variants(out, precisions, options=QuantizeOptions(sts=sts / "sts-en"))


def _features(model: Any, tokenizer: Any, first: list[str], second: list[str]) -> Features:
    """What the classifier reads of each pair, (pairs, hidden)."""
    order = sorted(range(len(first)), key=lambda index: len(first[index]) + len(second[index]))
    found = np.zeros((len(first), model.config.hidden_size))
    for at in tqdm(range(0, len(order), _BATCH), desc="Reading pairs", unit="batch"):
        rows = order[at : at + _BATCH]
        encoded = tokenizer(
            [first[row] for row in rows], [second[row] for row in rows], padding=True, return_tensors="pt"
        )
        with torch.no_grad():
            found[rows] = model.bert(**encoded).pooler_output.double().numpy()
    return found


def _fitted(features: Features, gold: Features) -> tuple[npt.NDArray[np.float32], float]:
    """Weights (hidden,) and bias of the ridge regression from ``features`` to logits, in double precision."""
    mean = features.mean(axis=0)
    centered, wanted = features - mean, _SPREAD * (gold - 2.5)
    gram = centered.T @ centered + _PENALTY * np.eye(features.shape[1])
    weights = np.linalg.solve(gram, centered.T @ (wanted - wanted.mean()))
    return weights.astype(np.float32), float(wanted.mean() - mean @ weights)
