"""gensim's KeyedVectors (.kv, and .model of a whole Word2Vec), read without gensim and without running what a pickle asks for.

gensim pickles the object, and puts a large matrix in a .npy file beside it. The unpickler here makes plain objects of all of
gensim's classes, lets numpy's arrays be, and refuses every other name.
"""

import io
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from embedrt_export.words.vectors import RowStore, WordVectors

from embedrt.errors import CheckpointError
from embedrt.progress import progress

__all__ = ["is_pickle", "read_keyed_vectors"]

_BESIDE = ".vectors.npy"
_WORDS = ("index_to_key", "index2word", "index2entity")  # in gensim 4, 3 and 3's doc2vec
_BLOCK = 1 << 14  # rows
_HARMLESS = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    *(("builtins", name) for name in ("dict", "float", "hash", "int", "list", "set", "tuple")),
}


class _Stand:
    """In place of an object of gensim's, or of a generator of random numbers: its attributes."""

    def __init__(self, *_arguments: object) -> None:
        """Whatever it was made of."""

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


class _Unpickler(pickle.Unpickler):
    """Finds the harmless names alone."""

    def find_class(self, module: str, name: str) -> Any:
        """As pickle asks for it."""
        if module.partition(".")[0] == "gensim" or module.startswith("numpy.random."):
            return _Stand
        if (module, name) in _HARMLESS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def is_pickle(beginning: bytes) -> bool:
    """Whether a file that begins so is a pickle of protocol 2 or later."""
    return len(beginning) > 1 and beginning[0] == 0x80 and 2 <= beginning[1] <= pickle.HIGHEST_PROTOCOL


def read_keyed_vectors(file: BinaryIO, path: Path, *, quiet: bool) -> WordVectors:
    """The vectors of ``file``, opened at ``path``; of the files beside it the matrix is read; with a bar on stderr.

    Raises:
        CheckpointError: it is damaged, asks for what no vectors need, or its matrix is not beside it.
    """
    state = _state(file, path)
    words, matrix = _words(state, path), _matrix(state, path)
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or len(matrix) < len(words):
        raise CheckpointError(
            f"{path} has {len(words)} words and a matrix {matrix.shape} of {matrix.dtype}: "
            "one of the two files is another's, copy both again"
        )
    store = RowStore(matrix.shape[1], expected=len(words))
    with progress(len(words), shown=not quiet, doing="Reading vectors", unit="word") as advance:
        for at in range(0, len(words), _BLOCK):
            block = np.asarray(matrix[at : min(at + _BLOCK, len(words))], dtype=np.float32)
            if not np.isfinite(block).all():
                row = at + int(np.argwhere(~np.isfinite(block))[0][0])
                raise CheckpointError(
                    f"{path} has a number that is not finite in the vector of {words[row]!r}, word {row + 1}"
                )
            store.append(block)
            advance(len(block))
    return store.finished(words, None)


def _state(file: BinaryIO, path: Path) -> dict[str, Any]:
    """The attributes of the KeyedVectors; of a whole model those that it holds."""
    try:
        found = vars(_Unpickler(file).load())
    except (
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        TypeError,
        ValueError,
        ImportError,
        IndexError,
        KeyError,
    ) as error:
        raise CheckpointError(
            f"{path} is no file of gensim's that can be read safely: {error}. With gensim, write it as text: "
            "KeyedVectors.load(…).save_word2vec_format('vectors.txt')"
        ) from error
    inner = found.get("wv")
    return vars(inner) if isinstance(inner, _Stand) else found


def _words(state: dict[str, Any], path: Path) -> list[str]:
    words = next((state[name] for name in _WORDS if name in state), None)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise CheckpointError(f"{path} has no list of words ({' or '.join(_WORDS)}): is it gensim's KeyedVectors?")
    return words


def _matrix(state: dict[str, Any], path: Path) -> npt.NDArray[np.floating]:
    inside = state.get("vectors", state.get("syn0"))
    if isinstance(inside, np.ndarray):
        return inside
    for beside in (path.with_name(path.name + _BESIDE), path.with_name(path.name + ".wv" + _BESIDE)):
        if beside.is_file():
            return _mapped(beside)
    raise CheckpointError(
        f"{path} keeps its matrix in {path.name}{_BESIDE}, which is not beside it: copy that file to the same folder"
    )


def _mapped(path: Path) -> npt.NDArray[np.floating]:
    try:
        matrix: npt.NDArray[np.floating] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, io.UnsupportedOperation) as error:
        raise CheckpointError(f"{path} is no whole .npy file ({error}): copy it again") from error
    return matrix
