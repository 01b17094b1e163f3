"""Everything that can be wrong with a call or a model: what came, what was expected, what to type."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedrt import EmbedrtError, SentenceEncoder, loading
from embedrt.errors import (
    ArtifactError,
    ArtifactNotFoundError,
    GraphError,
    InputError,
    MissingDependencyError,
    ProviderError,
    UnavailableError,
)

Write = Callable[..., Path]


def _texts() -> Iterator[str]:
    yield "cat"


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        (3, "sentences is a int, expected a str or a list of str"),
        (None, "sentences is a NoneType, expected a str or a list of str"),
        (b"cat", "sentences is a bytes, expected a str or a list of str"),
        (bytearray(b"cat"), "sentences is a bytearray, expected"),
        ({"text": "cat"}, "sentences is a dict, expected"),
        ({"cat"}, "sentences is a set, expected a str or a list of str: pass list(…) of it"),
        (_texts(), "sentences is a generator, expected a str or a list of str: pass list(…) of it"),
        (np.array("cat"), "sentences is a ndarray, expected"),
        (["cat", None], "sentences[1] is a NoneType (None), expected a str"),
        (["cat", "mat", 1.5], "sentences[2] is a float (1.5), expected a str"),
        ([b"cat"], "sentences[0] is a bytes (b'cat'), expected a str"),
        ([["cat", "mat"]], "sentences[0] is a list (['cat', 'mat']), expected a str"),
        (np.array([["cat"]]), "sentences[0] is a list (['cat']), expected a str"),
        (np.array([1.0]), "sentences[0] is a float (1.0), expected a str"),
        (range(2), "sentences[0] is a int (0), expected a str"),
    ],
)
def test_what_is_no_text_is_a_type_error(encoder: SentenceEncoder, sentences: Any, message: str) -> None:
    for call in (encoder.encode, encoder.encode_query, encoder.encode_document, encoder.tokenize):
        with pytest.raises(TypeError) as caught:
            call(sentences)
        assert message in str(caught.value)
        assert ("pass list" in str(caught.value)) is ("pass list" in message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"prompt_name": "query"},
            "prompt_name is 'query', the checkpoint has these prompts: none. Or pass prompt='…'",
        ),
        ({"batch_size": 0}, "batch_size is 0, expected at least 1"),
        ({"batch_size": -3}, "batch_size is -3, expected at least 1"),
        ({"convert_to_tensor": True}, "tensors were asked for (convert_to_tensor, "),
        ({"convert_to_numpy": False}, "leave that out, and pass the arrays to torch.from_numpy"),
        ({"truncate_dim": 0}, "truncate_dim is 0, expected 1 to 8"),
        ({"truncate_dim": 9}, "truncate_dim is 9, expected 1 to 8"),
        ({"precision": "int4"}, "precision is 'int4', expected one of float32, int8, uint8, binary, ubinary"),
        ({"precision": "int8"}, "one vector alone has no range: encode several texts"),
        ({"output_value": "logits"}, "output_value is 'logits', expected 'sentence_embedding' or 'token_embeddings'"),
        (
            {"output_value": "token_embeddings"},
            "this graph gives no token_embeddings: export the checkpoint again with --token-embeddings",
        ),
    ],
)
def test_a_wrong_option_is_named(encoder: SentenceEncoder, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        encoder.encode(["cat"], **options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 2.5}, "batch_size is a float (2.5), expected a whole number or None"),
        ({"batch_size": True}, "batch_size is a bool (True), expected a whole number or None"),
        ({"prompt": 5}, "prompt is a int (5), expected a str"),
    ],
)
def test_an_option_of_another_type_is_named(encoder: SentenceEncoder, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        encoder.encode(["cat"], **options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"device": "tpu"}, InputError, "device is 'tpu', expected 'cpu', 'cuda', 'cuda:N' or 'auto'"),
        ({"threads": 0}, InputError, "threads is 0, expected at least 1"),
        ({"threads": -1}, InputError, "threads is -1, expected at least 1"),
        ({"providers": []}, InputError, "providers is empty, expected some of "),
        ({"providers": ["NoSuchProvider"]}, ProviderError, "NoSuchProvider was asked for, but this ONNX Runtime"),
        ({"variant": "int8"}, InputError, "variant 'int8' was asked for, but the artifact has fp32"),
    ],
)
def test_a_wrong_argument_is_named(tiny: Path, options: dict[str, Any], kind: type[EmbedrtError], message: str) -> None:
    with pytest.raises(kind) as caught:
        SentenceEncoder(tiny, **options)
    assert message in str(caught.value)


def test_providers_are_a_list(tiny: Path) -> None:
    with pytest.raises(
        TypeError, match=r"^providers is a str \('CPUExecutionProvider'\), expected a list: pass \['CPU"
    ):
        SentenceEncoder(tiny, providers="CPUExecutionProvider")


def test_cuda_is_never_replaced_by_the_processor(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ProviderError, match=r'pip install "embedrt\[gpu\]", or pass device="cpu"'):
        SentenceEncoder(tiny, device="cuda")
    assert SentenceEncoder(tiny, device="auto").providers == ["CPUExecutionProvider"]


class _PathLike(os.PathLike[str]):
    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


@pytest.mark.parametrize("kind", [str, Path, _PathLike])
def test_a_missing_folder_is_named(tmp_path: Path, kind: Callable[[Path], Any]) -> None:
    with pytest.raises(ArtifactNotFoundError) as caught:
        SentenceEncoder(kind(tmp_path / "missing"))
    assert f"there is no folder or .onnx file at {tmp_path / 'missing'}" in str(caught.value)
    assert "pass the folder that embedrt export wrote, or a Hub id" in str(caught.value)


def test_a_graph_without_a_tokenizer(tmp_path: Path, write_graph: Write) -> None:
    with pytest.raises(
        ArtifactNotFoundError, match=r"there is no tokenizer\.json in .*: copy the one of the checkpoint"
    ):
        SentenceEncoder(write_graph(tmp_path / "model.onnx"))


@pytest.mark.parametrize("content", [b"\0" * 64, b"PK\x03\x04 a zip archive, not a graph", b"version https://git-lfs"])
def test_a_file_that_is_no_graph_is_named(tmp_path: Path, write_tokenizer: Write, content: bytes) -> None:
    write_tokenizer(tmp_path)
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        SentenceEncoder(tmp_path / "model.onnx")


def test_a_prompt_that_cannot_be_left_out_of_pooling_is_an_error(tmp_path: Path, write_artifact: Write) -> None:
    folder = write_artifact(tmp_path / "tiny", serving={"include_prompt": False})
    with pytest.raises(GraphError) as caught:
        SentenceEncoder(folder)
    message = "prompts are to be left out of pooling, but the graph has no input pooling_mask"
    assert message in str(caught.value)
    assert "embedrt export" in str(caught.value)


def test_a_file_that_could_not_be_verified_is_not_served(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_artifact: object) -> None:
        raise PermissionError("tokenizer.json cannot be read")

    monkeypatch.setattr(loading, "check_files", unreadable)
    with pytest.raises(PermissionError, match=r"tokenizer\.json cannot be read"):
        SentenceEncoder(tiny)


def test_a_closed_encoder_says_so(tiny: Path) -> None:
    encoder = SentenceEncoder(tiny)
    with encoder as same:
        assert same is encoder
    for call in (encoder.encode, encoder.encode_query, encoder.encode_document):
        with pytest.raises(InputError, match="this encoder was closed: make a new SentenceEncoder"):
            call("cat")
    encoder.close()  # twice is once


def test_one_except_catches_everything_raised_on_purpose() -> None:
    for kind in (ArtifactError, UnavailableError, InputError):
        assert issubclass(kind, EmbedrtError)
    assert issubclass(MissingDependencyError, ImportError)
    assert issubclass(InputError, ValueError)
    assert not issubclass(EmbedrtError, ValueError)
