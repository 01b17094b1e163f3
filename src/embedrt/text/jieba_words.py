"""Chinese text to words by jieba; its only importer.

A dictionary of its own is loaded, once in a process, so that words which the process adds to jieba for other purposes change no
vector here. It is built from the package's own file: what jieba keeps of it in the folder for temporary files, anyone may have
written.
"""

import functools
import importlib
import logging
import sys
import warnings
from typing import Any

from embedrt.errors import MissingDependencyError

__all__ = ["jieba_cutter"]


class _Cutter:
    """jieba with its default dictionary; safe to share between threads."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def words(self, text: str) -> list[str]:
        """The words of ``text`` one behind another; nothing is left out, white space neither."""
        return list(self._tokenizer.lcut(text))

    def parts(self, word: str) -> list[str]:
        """All dictionary words within ``word``, which may overlap."""
        return list(self._tokenizer.lcut(word, cut_all=True))


@functools.cache
def jieba_cutter() -> _Cutter:
    """The cutter that all models of this process share; its dictionary takes about a second to build.

    Raises:
        MissingDependencyError: jieba is not installed.
    """
    tokenizer = _jieba().Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return _Cutter(tokenizer)


def _jieba() -> Any:
    known = "jieba" in sys.modules
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own, of escapes in strings and of pkg_resources
            jieba = importlib.import_module("jieba")
    except ImportError as missing:
        raise MissingDependencyError(
            "jieba is not installed, which this model cuts Chinese texts into words with. "
            'Type: pip install "embedrt[chinese]"'
        ) from missing
    if not known:
        jieba.setLogLevel(logging.WARNING)  # it tells on stderr how long its dictionary took to load
    return jieba
