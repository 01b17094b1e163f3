"""A framework that is not installed is told in a sentence, and nothing is loaded that nobody asked for."""

import subprocess
from collections.abc import Callable

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("module", "package", "extra", "name"),
    [
        ("langchain", "langchain_core", "langchain", "LangChain"),
        ("llama_index", "llama_index", "llama-index", "LlamaIndex"),
        ("haystack", "haystack", "haystack", "Haystack"),
        ("chroma", "chromadb", "chroma", "Chroma"),
        ("ray", "ray", "ray", "Ray"),
        ("scikit_learn", "sklearn", "scikit-learn", "scikit-learn"),
    ],
)
def test_a_missing_framework(run_python: Run, module: str, package: str, extra: str, name: str) -> None:
    ended = run_python(f"import sys; sys.modules[{package!r}] = None; import embedrt.integrations.{module}")
    last = ended.stderr.strip().splitlines()[-1]
    assert last == (
        f'embedrt.errors.MissingDependencyError: {name} is not installed: type pip install "embedrt[{extra}]"'
    )


def test_the_encoder_loads_no_framework(run_python: Run) -> None:
    code = "import sys, embedrt, embedrt.integrations; embedrt.SentenceEncoder; print(*sys.modules)"
    loaded = run_python(code).stdout.split()
    assert "embedrt.encoder" in loaded
    assert not {"langchain_core", "llama_index", "haystack", "chromadb", "ray", "sklearn", "pydantic"} & set(loaded)
