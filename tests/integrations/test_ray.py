"""A data set of Ray's through our encoder, on a cluster of this machine."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedrt import SentenceEncoder
from embedrt.errors import InputError
from embedrt.integrations.ray import EmbedTexts

Run = Callable[..., subprocess.CompletedProcess[str]]
CLUSTER = """
import json, sys
import ray
from embedrt.integrations.ray import EmbedTexts

class Told(EmbedTexts):
    def __call__(self, batch):
        threads = self._encode.__self__.threads
        return {**super().__call__(batch), "threads": [threads] * len(batch["text"])}

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
dataset = ray.data.from_items([{"id": at, "text": text} for at, text in enumerate(json.loads(sys.argv[2]))])
how = {"model": sys.argv[1], "role": "document", "truncate_dim": 4}
embedded = dataset.map_batches(Told, fn_constructor_kwargs=how, batch_size=2, num_cpus=1, concurrency=2)
rows = sorted(embedded.take_all(), key=lambda row: row["id"])
print(json.dumps([[row["text"], row["embedding"].tolist(), int(row["threads"])] for row in rows]))
"""


def test_a_data_set(prompted: Path, texts: list[str], run_python: Run) -> None:
    ended = run_python(CLUSTER, prompted, json.dumps(texts))
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    with SentenceEncoder(prompted) as encoder:
        expected = encoder.encode_document(texts, truncate_dim=4)
    assert [row[0] for row in found] == texts
    np.testing.assert_array_equal(np.array([row[1] for row in found], np.float32), expected)
    assert {row[2] for row in found} == {1}  # the processors that Ray gave each worker


def test_a_batch(prompted: Path, texts: list[str]) -> None:
    batch = {"id": np.arange(len(texts)), "body": np.array(texts, object)}
    with SentenceEncoder(prompted) as encoder:
        for role, expected in (("query", encoder.encode_query(texts)), (None, encoder.encode(texts))):
            embed = EmbedTexts(str(prompted), text_column="body", output_column="vector", role=role, threads=2)  # type: ignore[arg-type]
            found = embed(batch)
            assert list(found) == ["id", "body", "vector"]
            np.testing.assert_array_equal(found["vector"], expected)
        spoken = EmbedTexts(
            str(prompted), text_column="body", prompt="hello ", truncate_dim=4, normalize_embeddings=True
        )
        expected = encoder.encode(texts, prompt="hello ", truncate_dim=4, normalize_embeddings=True)
        np.testing.assert_array_equal(spoken(batch)["embedding"], expected)


def test_wrong_uses(prompted: Path) -> None:
    role: Any = "passage"
    with pytest.raises(InputError, match="role is 'passage', expected 'query', 'document' or None"):
        EmbedTexts(str(prompted), role=role)
    embed = EmbedTexts(str(prompted))
    with pytest.raises(InputError, match="there is no column 'text' among body, id: pass text_column="):
        embed({"body": np.array(["a"]), "id": np.array([1])})
    batch: Any = [["a"]]
    with pytest.raises(TypeError, match="a batch is a list, expected columns of numpy arrays: leave batch_format"):
        embed(batch)
    with pytest.raises(TypeError, match=r"sentences\[1\] is a NoneType"):
        embed({"text": np.array(["a", None], object)})
