"""Engines of these tests, loaded by the worker as any other: a text's vector is its length and one."""

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Loaded = tuple[Callable[[list[str]], Any], dict[str, str]]


def _encode(texts: list[str]) -> Any:
    if "fail" in texts:
        raise ValueError("this text cannot be encoded")
    if "die" in texts:
        os.write(2, b"the last words\n")
        os._exit(7)
    return np.array([[len(text), 1] for text in texts], dtype=np.float64).reshape(len(texts), 2)


def quiet(threads: int) -> Loaded:
    return _encode, {"kind": "quiet"}


def noisy(threads: int) -> Loaded:
    def encode(texts: list[str]) -> Any:
        print('{"ok": "not the answer"}')  # noqa: T201
        sys.stdout.flush()
        os.write(1, b"from C code\n" * 20_000)  # more than a pipe holds
        return _encode(texts)

    return encode, {"kind": "noisy"}


def budget(threads: int) -> Loaded:
    """Its settings are what reached the process."""
    names = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM", "HF_HUB_OFFLINE")
    seen = {name: os.environ.get(name, "absent") for name in (*names, "PYTHONPATH")}
    return _encode, {**seen, "processors": str(len(os.sched_getaffinity(0))), "argument": str(threads)}


def broken(threads: int) -> Loaded:
    raise ImportError("a library is not there")


def slow_to_wake(threads: int) -> Loaded:
    import time

    def encode(texts: list[str]) -> Any:
        time.sleep(0.05)
        return np.full((len(texts), 2), len(texts))

    return encode, {}


def loses_some(threads: int) -> Loaded:
    """Right for few texts, as engines are checked with; of many it gives the first hundred only."""
    return lambda texts: _encode(texts[:100]), {}


def not_finite(threads: int) -> Loaded:
    return lambda texts: np.full((len(texts), 2), np.nan), {}


def hangs(threads: int) -> Loaded:
    import time

    return lambda texts: time.sleep(60), {}
