"""What stands above the tokenizer works with words as with any other: HTTP, similarity, streams, tables above 2 GB."""

import http.client
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedrt_export.packing import writing
from embedrt_export.words.job import export_word_vectors
from embedrt_export.words.options import WordVectorOptions

from embedrt import SentenceEncoder
from embedrt.errors import IntegrityError
from embedrt.server import ModelSource, Server, ServerSettings


@pytest.fixture(scope="module")
def artifact(glove: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "words"
    export_word_vectors(glove, folder, options=WordVectorOptions(pooling=("max",)), quiet=True)
    return folder


def test_over_http(artifact: Path) -> None:
    settings = ServerSettings(
        models=(ModelSource(name="words", location=str(artifact)),), port=0, threads=2, log_level="error"
    )
    with Server(settings) as server, SentenceEncoder(artifact) as encoder:
        host, port = server.address.removeprefix("http://").rsplit(":", 1)

        def ask(path: str, body: Any) -> Any:
            connection = http.client.HTTPConnection(host, int(port), timeout=30)
            connection.request("POST", path, json.dumps(body))
            answer = connection.getresponse()
            content = json.loads(answer.read())
            connection.close()
            assert answer.status == 200, content
            return content

        texts = ["the cat sleeps", "unknown", "Dog, runs!"]
        found = ask("/v1/embeddings", {"model": "words", "input": texts})
        vectors = np.array([entry["embedding"] for entry in found["data"]], dtype=np.float32)
        np.testing.assert_array_equal(vectors, encoder.encode(texts))
        ids = [row.tolist() for row in encoder.tokenize(texts)]
        pieces = ask("/tokenize", {"inputs": texts})
        assert [[piece["id"] for piece in row] for row in pieces] == ids
        assert ask("/decode", {"ids": ids[0]}) == ["the cat sleeps"]
        by_ids = ask("/embed", {"inputs": [ids[0]], "normalize": False})
        np.testing.assert_array_equal(np.array(by_ids, dtype=np.float32), encoder.encode(texts[:1]))


def test_zeros_are_like_nothing(artifact: Path) -> None:
    with SentenceEncoder(artifact) as encoder:
        vectors = encoder.encode(["cat", "unknown", "dog"])
        likeness = encoder.similarity(vectors, vectors)
    assert np.isfinite(likeness).all()
    assert not likeness[1].any()


def test_a_stream_of_texts(artifact: Path, sentences: list[str]) -> None:
    with SentenceEncoder(artifact) as encoder:
        np.testing.assert_array_equal(np.stack(list(encoder.encode_iter(sentences))), encoder.encode(sentences))


@pytest.mark.parametrize("table", ["fp32", "int8"])
def test_tables_that_no_protobuf_holds(
    glove: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """Above 2 GB weights lie in a file of their own; here the limit is lower."""
    monkeypatch.setattr(writing, "_ONE_FILE_LIMIT", (1 << 26) + 1000)
    options = WordVectorOptions(table="int8" if table == "int8" else "fp32")
    manifest = export_word_vectors(glove, tmp_path / "out", options=options, quiet=True)
    data = [path for path in manifest.files if path.endswith(".onnx_data")]
    assert len(data) == 1
    with SentenceEncoder(tmp_path / "out") as encoder:
        assert encoder.encode("cat dog").any()
    (tmp_path / "out" / data[0]).write_bytes(b"other")
    with pytest.raises(IntegrityError, match="bytes, the manifest names"):
        SentenceEncoder(tmp_path / "out")
