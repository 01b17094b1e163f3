"""Which scenarios need more than engines: files, or PyTorch. Asked before each, so that none fails at the end of an hour."""

from importlib.util import find_spec
from pathlib import Path

__all__ = ["why_impossible"]

_FILES = {"sts": ("sts-en",), "bert_zh": ("sts-zh/STS-B.test.tsv", "vocab/bert-base-chinese.txt")}
_EXPORTING = ("bert_zh", "jobs")


def why_impossible(name: str, data: Path | None) -> str | None:
    """Why the scenario ``name`` is not possible here, with the STS files in ``data``; None where it is."""
    if missing := [file for file in _FILES.get(name, ()) if data is None or not (data / file).exists()]:
        return f"it needs {' and '.join(missing)} in the folder that EMBEDRT_DATA names"
    if name in _EXPORTING and find_spec("torch") is None:
        return 'it exports a checkpoint: type pip install "embedrt[export]"'
    return None
