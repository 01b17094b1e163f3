"""The graph as it came, untouched, run for its token vectors: what the finished graph is compared with."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedrt.errors import CheckpointError
from embedrt.inference.session import ATTENTION_MASK, INPUT_IDS, POOLING_MASK, open_graph

__all__ = ["OriginalGraph"]

_NUMPY_TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32}


class OriginalGraph:
    """Runs one output of the graph at ``path``."""

    def __init__(self, path: Path, output: str, *, length_said_by: str) -> None:
        self._path, self._output, self._length_said_by = path, output, length_said_by
        self._session = open_graph(path)

    def run(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """For int64 (batch, sequence), with all token types 0, and what ``mask`` has pooled.

        Raises:
            CheckpointError: it cannot be run on these.
        """
        given = {INPUT_IDS: ids, ATTENTION_MASK: mask, POOLING_MASK: mask}
        feed = {
            value.name: given.get(value.name, np.zeros_like(ids)).astype(_NUMPY_TYPES.get(value.type, np.int64))
            for value in self._session.get_inputs()
        }
        try:
            results: Sequence[npt.NDArray[np.float32]] = self._session.run([self._output], feed)
        except Exception as error:  # ONNX Runtime's exceptions share no documented root
            reason = " ".join(str(error).split())
            raise CheckpointError(
                f"{self._path} cannot be run on {ids.shape[0]} texts of {ids.shape[1]} tokens. "
                f"If these are too many, lower the limit, which {self._length_said_by} says ({reason:.200})"
            ) from error
        return np.asarray(results[0], dtype=np.float32)
