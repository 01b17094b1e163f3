"""SparseEncoder on exported checkpoints: its arguments, its answers, and what it refuses."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SparseEncoder as Original

from embedrt import SentenceEncoder, SparseEncoder, SparseVector, SparseVectors, tuning
from embedrt.artifact.folder import Artifact
from embedrt.artifact.kinds import Sparse
from embedrt.errors import InputError, IntegrityError, KindError, ManifestError
from embedrt.inference.devices import Device
from embedrt.inference.layout import default_layout
from embedrt.sparse.encoding import SparseRequest, static_terms

Texts = list[str]
Write = Callable[..., Path]
TEXTS = ["how do i reset my password ?", "the cat sleeps on the roof", "忘记密码怎么办", "rain " * 40, "", "a"]


@pytest.fixture(scope="module")
def encoder(splade_artifact: Path) -> Iterator[SparseEncoder]:
    with SparseEncoder(splade_artifact, threads=2) as shared:
        yield shared


@pytest.fixture(scope="module")
def original(splade: Path) -> Original:
    return Original(str(splade), device="cpu")


def same_bits(a: SparseVector, b: SparseVector) -> bool:
    return a.indices.tolist() == b.indices.tolist() and a.values.tobytes() == b.values.tobytes()


def test_shapes(encoder: SparseEncoder) -> None:
    many, one = encoder.encode(TEXTS), encoder.encode(TEXTS[0])
    assert isinstance(many, SparseVectors)
    assert isinstance(one, SparseVector)
    assert many.shape == (len(TEXTS), encoder.get_embedding_dimension())
    assert encoder.encode([]).shape == (0, encoder.get_sentence_embedding_dimension())
    assert same_bits(one, many[0])
    np.testing.assert_array_equal(encoder.encode(np.array(TEXTS[:2])).to_dense(), many[:2].to_dense())


@pytest.mark.parametrize("variant", ["fp32", "int8", "int8-static"])
def test_same_bits_in_any_company(splade_artifact: Path, variant: str) -> None:
    texts = [*TEXTS, *(f"the {word} of light and water" for word in ("king", "cat", "rain", "house")), "a a", "i a"]
    with SparseEncoder(splade_artifact, variant=variant, threads=2) as encoder:
        alone = [encoder.encode(text) for text in texts]
        assert sum(len(vector.indices) for vector in alone) > 100
        crowd = [f"{text[:40]} word{number}" for number in range(40) for text in texts]
        for size, more in ((None, crowd), (1, []), (3, crowd[:30])):
            together = encoder.encode([*texts, *more], batch_size=size)
            assert all(same_bits(vector, together[row]) for row, vector in enumerate(alone))
        backwards = encoder.encode(texts[::-1])
        assert all(same_bits(vector, backwards[-1 - row]) for row, vector in enumerate(alone))


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # torch, of the original
def test_decode_sparsity_and_intersection_are_the_originals(encoder: SparseEncoder, original: Original) -> None:
    ours = encoder.encode(TEXTS)
    theirs = original.encode(TEXTS, batch_size=1)
    for top in (None, 5):
        for found, wanted in zip(encoder.decode(ours, top_k=top), original.decode(theirs, top_k=top), strict=True):
            assert [token for token, _ in found] == [token for token, _ in wanted]
            np.testing.assert_allclose([weight for _, weight in found], [weight for _, weight in wanted], atol=1e-5)
    assert encoder.decode(ours[0], 3) == encoder.decode(ours, 3)[0]
    assert encoder.sparsity(ours) == pytest.approx(original.sparsity(theirs))
    assert encoder.sparsity(ours[1]) == pytest.approx(original.sparsity(theirs[1]))
    assert encoder.sparsity(ours[:0]) == {"active_dims": 0.0, "sparsity_ratio": 1.0}
    shared = encoder.intersection(ours[0], ours)
    wanted = original.intersection(theirs[0], theirs).to_dense().numpy()
    np.testing.assert_allclose(shared.to_dense(), wanted, atol=1e-4)
    assert isinstance(encoder.intersection(ours[0], ours[1]), SparseVector)
    np.testing.assert_allclose(
        encoder.similarity(ours, ours), original.similarity(theirs, theirs).numpy(), rtol=1e-5, atol=1e-4
    )
    np.testing.assert_allclose(
        encoder.similarity_pairwise(ours[:2], ours[1:3]),
        original.similarity_pairwise(theirs.to_dense()[:2], theirs.to_dense()[1:3]).numpy(), rtol=1e-5, atol=1e-4,
    )  # fmt: skip


def test_pruning(encoder: SparseEncoder, original: Original) -> None:
    for most in (1, 7, 10_000):
        found = encoder.encode(TEXTS, max_active_dims=most)
        wanted = original.encode(TEXTS, batch_size=1, max_active_dims=most, convert_to_sparse_tensor=False).numpy()
        np.testing.assert_allclose(found.to_dense(), wanted, atol=1e-5)


def test_threads_share_an_encoder(encoder: SparseEncoder) -> None:
    expected = encoder.encode(TEXTS)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: encoder.encode(TEXTS), range(24)):
            assert all(same_bits(a, b) for a, b in zip(found, expected, strict=True))


def test_several_windows_keep_their_order(encoder: SparseEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*TEXTS, *(f"word{number} of the house" for number in range(9)), *TEXTS]
    expected = encoder.encode(texts)
    monkeypatch.setattr("embedrt.inference.runner._WINDOW", 4)
    found = encoder.encode(texts)
    assert all(same_bits(a, b) for a, b in zip(found, expected, strict=True))


def test_half_a_surrogate_pair_is_named_by_its_place_among_all_texts(
    encoder: SparseEncoder, inference_free_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedrt.inference.runner._WINDOW", 4)
    texts = [*"abcdefghi", "\ud83d", "j"]
    with SparseEncoder(inference_free_artifact) as static:
        for call in (encoder.encode, static.encode_query):
            with pytest.raises(InputError, match=r"^sentences\[9\] holds half of a surrogate pair"):
                call(texts)


def test_equal_texts_have_equal_terms(encoder: SparseEncoder) -> None:
    texts = [TEXTS[0], TEXTS[2], TEXTS[0], "", TEXTS[2], *[TEXTS[0]] * 100]
    for text, vector in zip(texts, encoder.encode(texts), strict=True):
        assert same_bits(vector, encoder.encode(text))


def test_progress_goes_to_stderr(encoder: SparseEncoder, capsys: pytest.CaptureFixture[str]) -> None:
    encoder.encode(TEXTS, show_progress_bar=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"{len(TEXTS)}/{len(TEXTS)}" in captured.err


def test_facts(encoder: SparseEncoder, splade_artifact: Path) -> None:
    assert (encoder.max_seq_length, encoder.variant, encoder.threads) == (24, "fp32", 2)
    assert encoder.providers == ["CPUExecutionProvider"]
    assert encoder.similarity_fn_name == "dot"
    assert encoder.max_active_dims is None
    assert encoder.default_prompt_name is None
    assert encoder.prompts == {"query": "", "document": ""}
    assert [len(row) for row in encoder.tokenize(["a", "rain " * 99])] == [3, 24]
    assert repr(encoder).startswith(f"SparseEncoder('{splade_artifact}', variant='fp32', dimension=")


def test_wrong_types(encoder: SparseEncoder) -> None:
    wrong: Any
    for wrong in (7, None, ["a", 3], b"a", {"a": 1}):
        with pytest.raises(TypeError, match="expected a str"):
            encoder.encode(wrong)
    with pytest.raises(TypeError, match=r"max_active_dims is a float \(2.5\), expected a whole number"):
        encoder.encode("a", max_active_dims=2.5)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"embeddings is a list, expected what SparseEncoder\.encode gives"):
        encoder.decode([1, 2])  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"^embeddings is a ndarray, expected what SparseEncoder\.encode gives: "):
        encoder.sparsity(np.zeros(3))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_active_dims": 0}, "max_active_dims is 0, expected at least 1"),
        ({"batch_size": -1}, "batch_size is -1, expected at least 1"),
        ({"prompt_name": "nothing"}, "prompt_name is 'nothing', the checkpoint has these prompts: document, query"),
    ],
)
def test_wrong_values(encoder: SparseEncoder, options: dict[str, Any], message: str) -> None:
    for encode in (encoder.encode, encoder.encode_query, encoder.encode_document):
        with pytest.raises(InputError, match=message):
            encode("a", **options)


def test_wrong_vectors(encoder: SparseEncoder) -> None:
    with pytest.raises(InputError, match="top_k is 0, expected at least 1"):
        encoder.decode(encoder.encode("a"), top_k=0)
    with pytest.raises(InputError, match="the vector has 3 terms, and the model's vocabulary"):
        encoder.decode(SparseVectors.from_dense([[0, 1, 2]]))


def test_other_classes_name_the_right_one(splade_artifact: Path, tiny: Path) -> None:
    with pytest.raises(
        KindError, match="is a sparse model, SentenceEncoder takes dense ones: load it with SparseEncoder"
    ):
        SentenceEncoder(splade_artifact)
    with pytest.raises(
        KindError, match="is a dense model, SparseEncoder takes sparse ones: load it with SentenceEncoder"
    ):
        SparseEncoder(tiny)


def test_closed(splade_artifact: Path) -> None:
    with SparseEncoder(splade_artifact) as encoder:
        pass
    with pytest.raises(InputError, match="this encoder was closed: make a new SparseEncoder"):
        encoder.encode("a")


def test_a_graph_and_a_tokenizer_alone(splade_artifact: Path, encoder: SparseEncoder) -> None:
    with SparseEncoder(splade_artifact / "onnx" / "model.onnx") as alone:
        assert alone.variant is None
        assert same_bits(alone.encode(TEXTS[0]), encoder.encode(TEXTS[0]))


def test_damaged_weights_of_queries_are_named(
    inference_free_artifact: Path, copied: Callable[[Path], Path], edit_manifest: Callable[..., None]
) -> None:
    folder = copied(inference_free_artifact)
    weights = folder / "query_weights.npy"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(IntegrityError, match=r"query_weights\.npy has .* bytes, the manifest names"):
        SparseEncoder(folder)
    edit_manifest(folder, lambda content: content["files"].pop("query_weights.npy"))
    with pytest.raises(
        ManifestError, match=r"query_weights names the file 'query_weights\.npy', which `files` does not"
    ):
        SparseEncoder(folder)


def _zipped(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, np.ones(3, np.float32))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-4]), "cannot be read as the weights of queries"),
        (lambda path: path.write_bytes(b""), "cannot be read as the weights of queries"),
        (_zipped, "cannot be read as the weights of queries"),
        (lambda path: np.save(path, np.ones(3, np.float32)), r"holds float32 \(3,\), expected float32"),
    ],
)
def test_weights_of_queries_that_are_none_are_named(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "query_weights.npy"
    np.save(path, np.ones(4, np.float32))
    write(path)
    artifact = Artifact(folder=tmp_path, graph=path, tokenizer=path, manifest=None, variant=None)
    with pytest.raises(IntegrityError, match=rf"query_weights\.npy {message}"):
        static_terms(artifact, Sparse(query_weights=path.name), dimension=4)


def test_queries_are_not_cut_by_the_tokenizer_of_another_artifact(tmp_path: Path, write_tokenizer: Write) -> None:
    path = write_tokenizer(tmp_path)
    np.save(tmp_path / "query_weights.npy", np.ones(4, np.float32))
    artifact = Artifact(folder=tmp_path, graph=path, tokenizer=path, manifest=None, variant=None)
    terms = static_terms(artifact, Sparse(query_weights="query_weights.npy"), dimension=4)
    assert terms is not None
    path.unlink()
    write_tokenizer(tmp_path, max_length=3)
    with pytest.raises(IntegrityError, match=r"tokenizer\.json is not the file that was opened.*: open it again"):
        terms.encode(["hello"], SparseRequest())


def test_nothing_heavy_is_loaded(inference_free_artifact: Path, run_python: Callable[..., Any]) -> None:
    code = """
import sys
from embedrt import SparseEncoder
with SparseEncoder(sys.argv[1]) as encoder:
    queries, documents = encoder.encode_query(["rain"]), encoder.encode_document(["rain", "the cat"])
    encoder.decode(documents), encoder.similarity(queries, documents)
heavy = ("torch", "transformers", "sentence_transformers", "onnx", "onnx_ir", "scipy")
print([name for name in heavy if name in sys.modules])
"""
    done = run_python(code, inference_free_artifact)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_tune_measures_sparse_models_too(splade_artifact: Path) -> None:
    with contextlib.closing(tuning._Rig(splade_artifact, "int8", Device("cpu"))) as rig:
        layout = default_layout(2)
        assert rig.one_text(layout, 0.0) > 0
        assert rig.corpus(layout, np.array([3, 8, 8])) > 0


def test_arguments_of_sentence_transformers(encoder: SparseEncoder, splade_artifact: Path) -> None:
    dropped: dict[str, Any] = {"convert_to_tensor": False, "convert_to_sparse_tensor": False, "save_to_cpu": True}
    for ask in (encoder.encode, encoder.encode_document):
        assert same_bits(ask(inputs=TEXTS, **dropped)[0], encoder.encode_document(TEXTS)[0])  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"^encode_query takes no argument convert_to_tensor: there is no PyTorch here"):
        encoder.encode_query(TEXTS, convert_to_tensor=True)
    with pytest.raises(TypeError, match=r"^SparseEncoder takes no argument max_active_dims: pass it to encode, "):
        SparseEncoder(splade_artifact, max_active_dims=64)  # type: ignore[call-arg]
