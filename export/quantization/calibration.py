"""What the activations of a graph look like on real text: a sample of the rows that each product reads."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir
from embedrt_export.graphs.running import loaded
from tqdm import tqdm

from embedrt.errors import InputError
from embedrt.inference.session import INPUT_IDS, QUERY_EMBEDDINGS, TOKEN_TYPE_IDS
from embedrt.text.tokenizer import TokenRows

__all__ = ["calibration_texts", "held_out_texts", "sample_activations"]

Floats = npt.NDArray[np.float32]
_FEWEST_TEXTS = 8
_ROWS = 4096
"""Tokens kept of each tensor: enough for ranges, small enough for a 24-layer model."""


def calibration_texts(path: Path | None) -> list[str]:
    """The texts of ``path``, one a line, or the project's own multilingual set.

    Raises:
        InputError: the file is not there, not text, or holds too few lines to learn ranges from.
    """
    if path is None:
        return _own("calibration.txt")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}): pass a file with one text a line") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): pass a file with one text a line") from error
    texts = [line.strip() for line in lines if line.strip()]
    if len(texts) < _FEWEST_TEXTS:
        raise InputError(
            f"{path} holds {len(texts)} texts, expected at least {_FEWEST_TEXTS}, better some hundreds, one a line"
        )
    return texts


def held_out_texts() -> list[str]:
    """The project's own texts that no calibration has seen: fidelity is measured on them."""
    return _own("held_out.txt")


def _own(name: str) -> list[str]:
    text = (resources.files("embedrt_export.quantization") / "texts" / name).read_text(encoding="utf-8")
    return text.splitlines()


def sample_activations(
    model: onnx_ir.Model,
    sources: Sequence[onnx_ir.Value],
    tokens: TokenRows,
    *,
    folder: Path | None = None,
    quiet: bool = False,
) -> dict[str, Floats]:
    """Rows of values (batch, sequence, width) of the graph, (rows, width) by name: all rows, or an even sample of them.

    The inputs of ``tokens`` run one by one, so that no padding is among the rows. ``folder`` has room for a copy of the graph
    while it is loaded.
    """
    names = [source.name or "" for source in sources]
    watched = model.clone()
    values = {value.name: value for node in watched.graph for value in node.outputs}
    watched.graph.outputs.extend(values[name] for name in names if not values[name].is_graph_output())
    session = loaded(watched, folder)
    queries = {  # of late interaction in the graph, where nothing is quantized
        value.name: np.zeros((1, value.shape[1]), np.float32)
        for value in session.get_inputs()
        if value.name == QUERY_EMBEDDINGS
    }
    inputs = [value.name for value in session.get_inputs() if value.name not in queries]
    step = max(1, int(tokens.lengths.sum()) // _ROWS)
    kept: dict[str, list[Floats]] = {name: [] for name in names}
    seen = 0
    for index in tqdm(range(len(tokens)), desc="  calibrate", unit="text", disable=quiet, leave=False):
        feed = _feed(tokens, index, inputs)
        ids = feed[INPUT_IDS]
        rows = slice(-seen % step, None, step)  # every step-th token of the whole set, wherever texts end
        for name, result in zip(names, session.run(names, feed | queries), strict=True):
            whole = result.shape[1] != ids.shape[1]  # one row a text, where the last layer was narrowed: few enough
            kept[name].append(result[0].copy() if whole else result[0, rows].copy())
        seen += ids.shape[1]
    return {name: np.concatenate(rows_of) for name, rows_of in kept.items()}


def _feed(tokens: TokenRows, index: int, inputs: Sequence[str]) -> dict[str, npt.NDArray[np.int64]]:
    """One input by itself, each array int64 (1, sequence)."""
    ids = tokens.row(index)[None, :]
    seen = len(ids[0]) if tokens.attended is None else tokens.attended[index]
    feed = {name: (np.arange(ids.shape[1])[None, :] < seen).astype(np.int64) for name in inputs}
    start = tokens.starts[index]
    types = np.zeros_like(ids) if tokens.type_ids is None else tokens.type_ids[None, start : start + ids.shape[1]]
    return feed | {name: array for name, array in ((INPUT_IDS, ids), (TOKEN_TYPE_IDS, types)) if name in inputs}
