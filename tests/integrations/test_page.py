"""The programs of docs/integrations.md, run as they are printed."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from embedrt import CrossEncoder, SentenceEncoder

PAGE = (Path(__file__).resolve().parents[2] / "docs/integrations.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"\n## ([\w-]+)\n.*?```python\n(.*?)```", PAGE, re.DOTALL))
QUERY = "How do I reset my password?"
TEXT_OF: dict[str, Callable[[Any], str]] = {
    "LangChain": lambda found: str(found[0].page_content),
    "LlamaIndex": lambda found: str(found[0].text),
    "Haystack": lambda found: str(found[0].content),
    "Chroma": lambda found: str(found[0][0]),
}


def test_there_is_a_program_for_each() -> None:
    assert PROGRAMS.keys() == {*TEXT_OF, "Ray", "scikit-learn"}


@pytest.mark.parametrize("framework", TEXT_OF)
def test_a_program_finds_what_embedrt_finds(
    framework: str,
    tmp_path: Path,
    write_artifact: Callable[..., Path],
    reranker: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_artifact(tmp_path / "minilm")
    (tmp_path / "reranker").symlink_to(reranker)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(PROGRAMS[framework], names)
    with SentenceEncoder("minilm") as encoder, CrossEncoder("reranker") as model:
        scores = encoder.similarity(encoder.encode(QUERY), encoder.encode(names["texts"]))[0]
        nearest = [names["texts"][at] for at in (-scores).argsort()[:2]]
        reranked = [nearest[entry["corpus_id"]] for entry in model.rank(QUERY, nearest)]
    assert TEXT_OF[framework](names["found"]) == (nearest if framework == "Chroma" else reranked)[0]


def test_ray_s_program(prompted: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    program = PROGRAMS["Ray"].replace("/models/minilm", str(prompted))
    shown = "import json; print(json.dumps([[row['id'], row['text'], row['embedding'].tolist()] for row in found]))"
    ended = run_python(f"{program}{shown}")
    assert ended.returncode == 0, ended.stderr
    rows = sorted(json.loads(ended.stdout.splitlines()[-1]))
    with SentenceEncoder(prompted) as encoder:
        expected = encoder.encode_document([text for _, text, _ in rows])
    assert len(rows) == 3
    np.testing.assert_array_equal(np.array([vector for *_, vector in rows], np.float32), expected)


def test_scikit_learn_s_program(
    tmp_path: Path, write_artifact: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_artifact(tmp_path / "minilm")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(PROGRAMS["scikit-learn"], names)
    with SentenceEncoder("minilm") as encoder:
        classifier = LogisticRegression().fit(encoder.encode(names["texts"]), names["topics"])
        expected = classifier.predict(encoder.encode([QUERY]))
    assert names["found"].tolist() == expected.tolist()
