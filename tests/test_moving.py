"""Code that was written for sentence-transformers: its names work, or one sentence says what to type instead."""

import inspect
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentence_transformers
from torch import device

import embedrt
from embedrt import SentenceEncoder
from embedrt.errors import InputError
from embedrt.moving import ATTRIBUTES, ENCODING, OPENING, OTHERS, SETTINGS

Write = Callable[..., Path]
TEXTS = ["hello", "How do I reset my password?", "a cat sat on the mat. " * 9]
NAMESAKES = {
    "SentenceEncoder": "SentenceTransformer",
    "SparseEncoder": "SparseEncoder",
    "CrossEncoder": "CrossEncoder",
    "MultiVectorEncoder": "MultiVectorEncoder",
}
RETIRED = {
    *("cache_folder", "cache_dir", "tokenizer_kwargs", "use_auth_token", "document_length", "query_length"),
    *("automodel_args", "config_args", "tokenizer_args", "default_activation_function", "classifier_dropout"),
}
"""What their classes took once, or hand on."""


def test_what_is_told_of_is_theirs_and_not_ours() -> None:
    theirs, ours = ([getattr(module, name) for name in names] for module, names in SIDES)
    opening = {name for kind in theirs for name in inspect.signature(kind).parameters}
    assert OPENING.keys() - RETIRED <= opening
    encoding = {name for kind in theirs for name in inspect.signature(kind.encode if hasattr(kind, "encode") else kind.predict).parameters}  # fmt: skip  # noqa: E501
    assert ENCODING.keys() <= encoding | {"task", "processing_kwargs"}
    assert (
        opening - {"model_name_or_path", "max_length"}
        <= OPENING.keys() | inspect.signature(SentenceEncoder).parameters.keys()
    )
    for kind in ours:
        assert not OPENING.keys() & inspect.signature(kind).parameters.keys()
        assert not (ATTRIBUTES.keys() | OTHERS.keys()) & set(dir(kind))
    attributes = {name for kind in theirs for name in dir(kind)}
    assert ATTRIBUTES.keys() - {"model_card_data", "start_multi_process_pool"} <= attributes | {"fit"}


SIDES = ((sentence_transformers, NAMESAKES.values()), (embedrt, NAMESAKES.keys()))


def test_their_arguments_of_a_class(tiny: Path) -> None:
    options: dict[str, Any] = {
        "trust_remote_code": False,
        "token": None,
        "cache_folder": None,
        "local_files_only": False,
    }
    with SentenceEncoder(model_name_or_path=str(tiny), device=None, threads=1, **options) as encoder:  # type: ignore[call-arg]
        assert encoder.device == "cpu"
    with SentenceEncoder(tiny, device=device("cpu")) as encoder:  # type: ignore[arg-type]
        assert encoder.device == "cpu"
    with pytest.raises(TypeError, match=r"^SentenceEncoder takes no argument cache_folder: set the .* HF_HUB_CACHE$"):
        SentenceEncoder(tiny, cache_folder="here")  # type: ignore[call-arg]
    with pytest.raises(
        TypeError, match=r"^SentenceEncoder takes no argument variants, but default_prompt_name, device"
    ):
        SentenceEncoder(tiny, variants="int8")  # type: ignore[call-arg]


def test_their_arguments_of_encode(encoder: SentenceEncoder) -> None:
    expected = encoder.encode(TEXTS)
    for found in (
        encoder.encode(inputs=TEXTS, device=None, pool=None),  # type: ignore[call-overload]
        encoder.encode_query(inputs=TEXTS, convert_to_tensor=False, chunk_size=None),  # type: ignore[call-arg]
        list(encoder.encode_iter(inputs=TEXTS)),  # type: ignore[call-arg]
    ):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(TypeError, match=r"^encode takes no argument device: pass device= where the model is opened"):
        encoder.encode(TEXTS, device="cuda")  # type: ignore[call-overload]
    with pytest.raises(
        TypeError, match=r"^encode_query takes no argument promt, but batch_size, .*; prompt is nearest$"
    ):
        encoder.encode_query(TEXTS, promt="a")
    with pytest.raises(TypeError, match=r"^encode takes sentences, which is inputs elsewhere, once: leave one of them"):
        encoder.encode(inputs=["hello"], sentences=TEXTS)  # type: ignore[call-overload]


KINDS = [*(getattr(embedrt, name) for name in NAMESAKES), embedrt.HybridEncoder]


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_names_the_method_that_was_called(kind: type) -> None:
    methods = {name: method for name, method in inspect.getmembers(kind, inspect.isfunction) if name[0] != "_"}
    assert methods
    for name, method in methods.items():
        with pytest.raises(TypeError, match=rf"(^|\.){name}(\(\) got an unexpected| takes no argument promt, but)"):
            method(None, promt="a")  # no argument reaches the model


@pytest.mark.parametrize(
    ("method", "options", "told"),
    [
        (embedrt.SparseEncoder.encode_query, {"promt": "a"}, "encode_query takes no argument promt, but batch_size, "),
        (embedrt.SparseEncoder.encode_query, {"promt": "a"}, "; prompt is nearest"),
        (embedrt.SparseEncoder.encode_document, {"quite": "else"}, "sentences, show_progress_bar"),
        (embedrt.SparseEncoder.encode, {"convert_to_sparse_tensor": True}, "with to_dense() and to_scipy(): leave it out"),
        (embedrt.MultiVectorEncoder.encode_query, {"task": "document"}, "encode_query takes no argument task: encode_query and"),
        (embedrt.MultiVectorEncoder.encode, {"token_pooling": object()}, "encode takes no argument token_pooling: "),
        (embedrt.MultiVectorEncoder.encode, {"output_value": None}, "encode takes no argument output_value: "),
        (embedrt.MultiVectorEncoder.similarity, {"length_normalize": True}, "similarity takes no argument length_normalize: "),
        (embedrt.CrossEncoder.predict, {"processing_kwargs": {"text": {}}}, "predict takes no argument processing_kwargs: "),
    ],
)  # fmt: skip
def test_what_a_refusal_says(method: Callable[..., object], options: dict[str, Any], told: str) -> None:
    placed = {"sentences", "inputs", "embeddings1", "embeddings2"} & inspect.signature(method).parameters.keys()
    with pytest.raises(TypeError) as refused:
        method(None, *[TEXTS] * len(placed), **options)
    assert told in str(refused.value)


def test_arguments_by_place_that_are_others_there(encoder: SentenceEncoder) -> None:
    told = r"^encode takes sentences by place, and 2 arguments came so: pass by name batch_size, convert_to_numpy, "
    with pytest.raises(TypeError, match=told):
        encoder.encode(TEXTS, "query")  # type: ignore[call-overload]
    with pytest.raises(
        TypeError, match=r"^rank takes query and documents by place, and 3 arguments came so: pass by name"
    ):
        embedrt.CrossEncoder.rank(None, "a", ["b"], 3)  # type: ignore[arg-type, call-arg]
    with pytest.raises(TypeError, match=r"^CrossEncoder takes model by place, and 3 arguments came so: pass by name"):
        embedrt.CrossEncoder("model", 1, 512)  # type: ignore[arg-type, call-arg]


def test_their_attributes(encoder: SentenceEncoder) -> None:
    for name, instead in {**ATTRIBUTES, **OTHERS}.items():
        assert not hasattr(encoder, name)
        with pytest.raises(AttributeError, match=re.escape(f"SentenceEncoder has no {name}: {instead}")):
            getattr(encoder, name)
    with pytest.raises(AttributeError, match=r"^SentenceEncoder has no encod$"):
        encoder.encod  # type: ignore[attr-defined]  # noqa: B018
    assert encoder.get_max_seq_length() == encoder.max_seq_length == 16


def test_no_other_kind_of_method_is_recommended() -> None:
    for kind, told in (
        (embedrt.CrossEncoder, "predict scores pairs"),
        (embedrt.HybridEncoder, "encode takes queries and"),
    ):
        for name in ("encode_query", "encode_queries", "passage_embed"):
            with pytest.raises(AttributeError, match=rf"^{kind.__name__} has no {name}: {told}"):
                getattr(kind.__new__(kind), name)


def test_a_property_that_fails_says_what_it_lacks(tiny: Path) -> None:
    class Mine(SentenceEncoder):
        @property
        def settings(self) -> object:
            return self.nowhere  # type: ignore[attr-defined]

    with Mine(tiny) as encoder, pytest.raises(AttributeError, match=r"^Mine has no nowhere$"):
        encoder.settings  # noqa: B018


def test_nothing_is_set_in_vain(encoder: SentenceEncoder) -> None:
    encoder.max_seq_length = 16  # type: ignore[misc]  # as it is
    for name, instead in SETTINGS.items():
        with pytest.raises(AttributeError, match=re.escape(f"{name} of a SentenceEncoder cannot be set: {instead}")):
            setattr(encoder, name, 5)
    encoder.of_my_own = 1  # type: ignore[attr-defined]
    assert encoder.of_my_own == 1  # type: ignore[attr-defined]


def test_a_width_for_all_calls(tiny: Path) -> None:
    with SentenceEncoder(tiny) as whole, SentenceEncoder(tiny, truncate_dim=3) as cut:
        vectors = whole.encode(TEXTS)
        np.testing.assert_array_equal(cut.encode(TEXTS), vectors[:, :3])
        np.testing.assert_array_equal(list(cut.encode_iter(TEXTS)), vectors[:, :3])
        np.testing.assert_array_equal(cut.encode(TEXTS, truncate_dim=5), vectors[:, :5])
        again = pickle.loads(pickle.dumps(cut))
        assert (cut.get_embedding_dimension(), again.truncate_dim, whole.truncate_dim) == (3, 3, None)
        assert "dimension=3" in repr(again)
        again.close()
    for width in (0, 9):
        with pytest.raises(InputError, match=f"truncate_dim is {width}, expected"):
            SentenceEncoder(tiny, truncate_dim=width)


def test_fewer_tokens_than_the_artifact_reads(tiny: Path, tmp_path: Path, write_artifact: Write) -> None:
    short = write_artifact(tmp_path / "short", serving={"max_seq_length": 7}, tokenizer={"max_length": 7})
    with SentenceEncoder(tiny, max_seq_length=7) as cut, SentenceEncoder(short) as encoder:
        assert cut.max_seq_length == 7
        np.testing.assert_array_equal(cut.encode(TEXTS), encoder.encode(TEXTS))
    with pytest.raises(
        InputError, match=r"^max_seq_length is 17, and the artifact reads 16 tokens of a text: pass fewer"
    ):
        SentenceEncoder(tiny, max_seq_length=17)
    with pytest.raises(InputError, match=r"^max_seq_length is 1, expected at least [234]$"):
        SentenceEncoder(tiny, max_seq_length=1)


def test_a_pickled_model_is_found_from_another_folder(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = {"query": "how "}
    monkeypatch.chdir(tiny.parent)
    with SentenceEncoder(tiny.name, prompts=prompts) as encoder:
        prompts["query"] = "changed"
        stored, expected = pickle.dumps(encoder), encoder.encode_query(TEXTS)
    os.chdir(tmp_path)
    with pickle.loads(stored) as again:
        np.testing.assert_array_equal(again.encode_query(TEXTS), expected)


def test_a_vector_of_a_stream_owns_its_memory(encoder: SentenceEncoder) -> None:
    assert all(vector.base is None for vector in encoder.encode_iter(TEXTS))
