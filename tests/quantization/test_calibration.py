"""Calibration texts, and the rows that products read while they run."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import pytest
from embedrt_export.quantization import calibration
from embedrt_export.quantization.calibration import calibration_texts, held_out_texts, sample_activations
from embedrt_export.quantization.linears import LinearGroup, find_groups

from embedrt.errors import InputError
from embedrt.text.tokenizer import TextTokenizer

TEXTS = ["how do i reset my password?", "忘记密码怎么办？", "a", "the cat sleeps on the roof", "x y z"]


def test_own_texts() -> None:
    learned, held_out = calibration_texts(None), held_out_texts()
    assert (len(learned), len(held_out)) == (240, 240)
    assert not set(learned) & set(held_out)
    assert all(text.strip() for text in learned + held_out)


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(b"\xef\xbb\xbf first \r\n\r\n" + b"".join(b"line %d\n" % index for index in range(7)))
    assert calibration_texts(path) == ["first", *(f"line {index}" for index in range(7))]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds 0 texts, expected at least 8"),
        (b"\n \n\t\n", "holds 0 texts, expected at least 8"),
        (b"one text alone\n", "holds 1 texts, expected at least 8"),
        (b"a\n" * 7, "holds 7 texts, expected at least 8"),
        (b"\x89PNG\r\n\x1a\n\x00", r"is not UTF-8 text \(byte 0\)"),
        (None, r"cannot be read \(No such file"),
    ],
)
def test_bad_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "texts.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"texts\.txt {message}.*one"):
        calibration_texts(path)


def test_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        calibration_texts(tmp_path)


def all_rows(transformer: Path, name: str) -> np.ndarray:
    """What ONNX Runtime gives for ``name`` when it is made an output, text by text; (tokens, width)."""
    proto = onnx.load(transformer / "onnx/model.onnx")
    proto.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = []
    for text in TEXTS:
        ids = TextTokenizer(transformer / "tokenizer.json").encode([text]).row(0)[None]
        rows.append(session.run([name], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0])
    return np.concatenate(rows)


def sources(groups: list[LinearGroup]) -> list[onnx_ir.Value]:
    return [group.source for group in groups]


def test_rows_are_those_of_the_tokens(graph: onnx_ir.Model, transformer: Path) -> None:
    groups = find_groups(graph)
    tokenizer = TextTokenizer(transformer / "tokenizer.json")
    rows = sample_activations(graph, sources(groups), tokenizer.encode(TEXTS), quiet=True)
    assert set(rows) == {"norm0", "attended", "norm1", "gelu", "norm2", "tanh"}
    for name in rows:
        np.testing.assert_array_equal(rows[name], all_rows(transformer, name))
    assert [value.name for value in graph.graph.outputs] == ["sentence_embedding"]  # the model itself stays as it was


@pytest.mark.parametrize("limit", [7, 20, 1])
def test_sample_is_even_over_all_texts(
    graph: onnx_ir.Model, transformer: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(calibration, "_ROWS", limit)
    tokenizer = TextTokenizer(transformer / "tokenizer.json")
    rows = sample_activations(graph, sources(find_groups(graph)), tokenizer.encode(TEXTS), quiet=True)["gelu"]
    whole = all_rows(transformer, "gelu")
    np.testing.assert_array_equal(rows, whole[:: max(1, len(whole) // limit)])


def test_a_source_that_is_an_output_already(graph: onnx_ir.Model, transformer: Path) -> None:
    groups = find_groups(graph)
    graph.graph.outputs.append(groups[-1].source)
    rows = sample_activations(
        graph, sources(groups), TextTokenizer(transformer / "tokenizer.json").encode(TEXTS), quiet=True
    )
    np.testing.assert_array_equal(rows["tanh"], all_rows(transformer, "tanh"))


def test_progress_is_shown_unless_quiet(
    graph: onnx_ir.Model, transformer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = TextTokenizer(transformer / "tokenizer.json")
    sample_activations(graph, sources(find_groups(graph)), tokenizer.encode(TEXTS), quiet=True)
    assert capsys.readouterr().err == ""
    sample_activations(graph, sources(find_groups(graph)), tokenizer.encode(TEXTS))
    assert "calibrate" in capsys.readouterr().err
