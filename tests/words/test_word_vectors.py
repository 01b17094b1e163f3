"""A file of word vectors to an artifact: against sentence-transformers on the same file, and against the papers' formulas."""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from embedrt_export.quantization import quantize
from embedrt_export.words.job import export_word_vectors
from embedrt_export.words.options import WordVectorOptions
from embedrt_export.words.verifying import verify_word_vectors
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, WordEmbeddings, WordWeights
from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer

from embedrt import SentenceEncoder
from embedrt.artifact.manifest import Manifest
from embedrt.errors import InputError
from embedrt.text.segmenters import WordRules

TOLERANCE = 1e-5

Vectors = npt.NDArray[np.float32]
Rows = dict[str, Vectors]


def exported(glove: Path, out: Path, **options: Any) -> Manifest:
    return export_word_vectors(glove, out, options=WordVectorOptions(**options), quiet=True)


def encoded(folder: Path, texts: list[str], **options: Any) -> Vectors:
    with SentenceEncoder(folder, **options) as encoder:
        vectors: Vectors = encoder.encode(texts)
    return vectors


def original(
    glove: Path, *modes: str, weights: dict[str, float] | None = None, unknown: float = 1
) -> SentenceTransformer:
    tokenizer = WhitespaceTokenizer(stop_words=[])
    words = WordEmbeddings.from_text_file(str(glove), tokenizer=tokenizer)
    weighing = [] if weights is None else [WordWeights(list(tokenizer.get_vocab()), weights, unknown)]
    modules = [words, *weighing, Pooling(words.get_embedding_dimension(), pooling_mode=modes)]
    return SentenceTransformer(modules=modules, device="cpu")


@pytest.mark.parametrize("modes", [("mean",), ("max", "mean_sqrt_len_tokens"), ("weightedmean", "lasttoken")])
def test_pooled_words_are_those_of_sentence_transformers(
    glove: Path, sentences: list[str], tmp_path: Path, modes: tuple[str, ...]
) -> None:
    manifest = exported(glove, tmp_path / "out", pooling=modes)
    model = original(glove, *modes)
    with SentenceEncoder(tmp_path / "out") as encoder:
        np.testing.assert_allclose(
            encoder.encode(sentences[:50]), model.encode(sentences[:50], batch_size=1), atol=TOLERANCE
        )
        assert [row.tolist() for row in encoder.tokenize(sentences)] == [
            model.tokenizer.tokenize(text) for text in sentences
        ]
        assert not encoder.encode(["nothing known", ""]).any()
    assert manifest.serving.pooling == modes
    assert manifest.variants["fp32"].parity.max_abs_difference < TOLERANCE


def test_idf_weights(glove: Path, corpus: Path, sentences: list[str], tmp_path: Path) -> None:
    """ln(N / n), words that the corpus has not as if one text had them; the mean divides by the weights' sum."""
    exported(glove, tmp_path / "out", weighting="idf", corpus=corpus)
    texts_with = Counter(word for text in sentences for word in set(text.split()))
    idf = {word: math.log(len(sentences) / count) for word, count in texts_with.items()}
    model = original(glove, "mean", weights=idf, unknown=math.log(len(sentences)))
    texts = [*sentences[:50], "the w3 w189", "w188 w189"]
    np.testing.assert_allclose(encoded(tmp_path / "out", texts), model.encode(texts, batch_size=1), atol=TOLERANCE)


def smooth_inverse_frequency(rows: Rows, sentences: list[str], texts: list[str], *, remove: bool) -> Vectors:
    """Arora, Liang, Ma 2017, algorithm 1, a text at a time."""
    counts = Counter(word for text in sentences for word in text.split() if word in rows)
    total = sum(counts.values())

    def average(text: str) -> npt.NDArray[np.float64]:
        known = [word for word in text.split() if word in rows]
        weighted = [rows[word].astype(np.float64) * 1e-3 / (1e-3 + counts[word] / total) for word in known]
        return np.mean(weighted, axis=0) if weighted else np.zeros(len(next(iter(rows.values()))))

    vectors = np.stack([average(text) for text in texts])
    if remove:
        matrix = np.stack([average(text) for text in sentences if set(text.split()) & rows.keys()])
        component = np.linalg.svd(matrix, full_matrices=False)[2][0]
        vectors = vectors - np.outer(vectors @ component, component)
    return vectors.astype(np.float32)


@pytest.mark.parametrize("remove", [False, True])
def test_smooth_inverse_frequency(
    glove: Path, corpus: Path, rows: Rows, sentences: list[str], tmp_path: Path, remove: bool
) -> None:
    manifest = exported(glove, tmp_path / "out", weighting="sif", corpus=corpus, remove_component=remove)
    texts = [*sentences[:60], "w188 w189", "unknown"]
    expected = smooth_inverse_frequency(rows, sentences, texts, remove=remove)
    np.testing.assert_allclose(encoded(tmp_path / "out", texts), expected, atol=TOLERANCE)
    made = manifest.source.derivation
    assert made is not None
    assert made.weighting is not None
    assert (made.weighting.texts, made.weighting.weights) == (400, "sif")
    assert (made.weighting.component_share is not None) == remove


@pytest.mark.parametrize(("pooling", "divisor"), [("mean", 1.0), ("mean_sqrt_len_tokens", 0.5)])
def test_a_component_alone(
    glove: Path, corpus: Path, rows: Rows, sentences: list[str], tmp_path: Path, pooling: str, divisor: float
) -> None:
    exported(glove, tmp_path / "out", pooling=(pooling,), remove_component=True, corpus=corpus)
    known = [[rows[word] for word in text.split() if word in rows] for text in sentences]
    matrix = np.stack([np.sum(words, axis=0, dtype=np.float64) / len(words) ** divisor for words in known])
    component = np.linalg.svd(matrix, full_matrices=False)[2][0]
    expected = matrix - np.outer(matrix @ component, component)
    found = encoded(tmp_path / "out", sentences)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    assert np.abs(found @ component).max() < TOLERANCE
    assert np.abs(matrix @ component).max() > 1


def test_frequent_words_are_passed_over(
    glove: Path, corpus: Path, rows: Rows, sentences: list[str], tmp_path: Path
) -> None:
    manifest = exported(glove, tmp_path / "out", drop_frequent=3, corpus=corpus)
    counts = Counter(word for text in sentences for word in text.split() if word in rows)
    dropped = {word for word, _ in counts.most_common(3)}
    assert manifest.source.derivation is not None
    assert manifest.source.derivation.weighting is not None
    assert set(manifest.source.derivation.weighting.dropped) == dropped
    with SentenceEncoder(tmp_path / "out") as encoder:
        first = next(iter(dropped))
        np.testing.assert_allclose(
            encoder.encode(f"{first} w5 {first.upper()}, w6"), (rows["w5"] + rows["w6"]) / 2, atol=TOLERANCE
        )
        assert not encoder.encode(" ".join(dropped)).any()
        assert sum(len(row) for row in encoder.tokenize(list(rows))) == len(rows) - 3


@pytest.mark.parametrize("weighting", [None, "idf"])
def test_a_dropped_phrase_is_not_taken_for_its_words(
    tmp_path: Path, write_lines: Callable[[list[str]], Path], weighting: str | None
) -> None:
    vectors = write_lines(["New_York 1 0", "New 0 1", "York 1 1", "cat 0 2"])
    corpus = write_lines(["New York", "New York", "New York cat", "cat New"])
    rules = WordRules(split="phrases")
    exported(vectors, tmp_path / "out", drop_frequent=1, corpus=corpus, rules=rules, weighting=weighting)
    found = encoded(tmp_path / "out", ["New York cat", "New York", "York cat"])
    np.testing.assert_allclose(found[:2], [[0, 2], [0, 0]], rtol=0, atol=TOLERANCE)
    assert found[2, 0] > 0
    verify_word_vectors(tmp_path / "out", against=vectors, corpus=corpus, quiet=True)


def test_a_dropped_word_is_not_taken_for_another(tmp_path: Path, write_lines: Callable[[list[str]], Path]) -> None:
    vectors, corpus = write_lines(["US 1 2", "us 3 4", "cat 5 6"]), write_lines(["US US cat", "US us"])
    exported(vectors, tmp_path / "out", drop_frequent=1, corpus=corpus)
    np.testing.assert_array_equal(
        encoded(tmp_path / "out", ["US us", "US", "US, cat"]), np.array([[3, 4], [0, 0], [5, 6]])
    )


def test_all_of_it_together(glove: Path, corpus: Path, rows: Rows, sentences: list[str], tmp_path: Path) -> None:
    """Words are dropped, then a component of what is left is removed; idf stays what it was."""
    exported(glove, tmp_path / "out", weighting="idf", drop_frequent=2, remove_component=True, corpus=corpus)
    counts = Counter(word for text in sentences for word in text.split() if word in rows)
    kept = {word: row for word, row in rows.items() if word not in dict(counts.most_common(2))}
    texts_with = Counter(word for text in sentences for word in set(text.split()))

    def average(text: str) -> npt.NDArray[np.float64]:
        known = [word for word in text.split() if word in kept]
        weights = [math.log(len(sentences) / max(texts_with[word], 1)) for word in known]
        total = np.sum(
            [weight * kept[word].astype(np.float64) for word, weight in zip(known, weights, strict=True)], axis=0
        )
        return np.asarray(total / sum(weights)) if known else np.zeros(30)

    matrix = np.stack([average(text) for text in sentences])
    component = np.linalg.svd(matrix, full_matrices=False)[2][0]
    expected = matrix - np.outer(matrix @ component, component)
    np.testing.assert_allclose(encoded(tmp_path / "out", sentences), expected, atol=TOLERANCE)


def test_unit_words_and_unit_vectors(glove: Path, rows: Rows, tmp_path: Path) -> None:
    exported(glove, tmp_path / "out", unit_rows=True, normalize=True)
    total = sum(rows[word] / np.linalg.norm(rows[word]) for word in ("cat", "dog", "w7"))
    np.testing.assert_allclose(
        encoded(tmp_path / "out", ["cat dog w7"])[0], total / np.linalg.norm(total), atol=TOLERANCE
    )


@pytest.mark.parametrize(
    ("table", "file", "worst"), [("int8", "onnx/model_int8.onnx", 0.999), ("fp16", "onnx/model_fp16.onnx", 0.999999)]
)
def test_smaller_tables(glove: Path, sentences: list[str], tmp_path: Path, table: str, file: str, worst: float) -> None:
    exported(glove, tmp_path / "exact")
    manifest = exported(glove, tmp_path / "out", table=table)
    assert list(manifest.variants) == [table]
    assert manifest.variants[table].file == file
    exact, found = encoded(tmp_path / "exact", sentences), encoded(tmp_path / "out", sentences)
    cosines = (exact * found).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(found, axis=1)
    assert worst < cosines.min() < 1
    sizes = [(tmp_path / place).stat().st_size for place in ("exact/onnx/model.onnx", f"out/{file}")]
    assert sizes[1] < sizes[0] * (0.4 if table == "int8" else 0.6)


def test_variants_beside_fp32(tmp_path: Path, write_lines: Callable[[list[str]], Path]) -> None:
    random = np.random.default_rng(0)
    lines = [f"w{number} {' '.join(f'{x:.4f}' for x in random.normal(size=40))}" for number in range(2000)]
    exported(write_lines(lines), tmp_path / "out")
    texts = ["w1 w2 w1999", "w7", "none"]
    exact = encoded(tmp_path / "out", texts)
    for precision in ("int8", "fp16"):
        manifest = quantize(tmp_path / "out", precision, quiet=True)
        found = encoded(tmp_path / "out", texts, variant=precision)
        assert 0 < np.abs(found - exact).max() < 0.02
        assert manifest.files[manifest.variants[precision].file].bytes < manifest.files["onnx/model.onnx"].bytes * 0.6


def test_bits_do_not_depend_on_company(glove: Path, corpus: Path, sentences: list[str], tmp_path: Path) -> None:
    exported(glove, tmp_path / "out", weighting="idf", corpus=corpus, normalize=True)
    with SentenceEncoder(tmp_path / "out") as encoder:
        together = encoder.encode(sentences)
        np.testing.assert_array_equal(together, np.stack([encoder.encode(text) for text in sentences]))


def test_chinese_words(tmp_path: Path, write_lines: Callable[[list[str]], Path]) -> None:
    """As text2vec averages what jieba gives: unit vectors, stop words passed over, unknown words cut again."""
    words = {"忘记": [3.0, 4], "密码": [1.0, 0], "特价": [0.0, 2], "机票": [0.0, -1], "的": [9.0, 9]}
    vectors = write_lines([f"{word} {x} {y}" for word, (x, y) in words.items()])
    rules = WordRules(split="jieba", stop_words=("的",))
    exported(vectors, tmp_path / "out", rules=rules, unit_rows=True)
    found = encoded(tmp_path / "out", ["忘记的密码？", "特价机票", "猫"])
    np.testing.assert_allclose(found, np.array([[0.8, 0.4], [0, 0], [0, 0]]), atol=TOLERANCE)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"weighting": "idf"}, "pass --corpus FILE"),
        ({"drop_frequent": 3}, "pass --corpus FILE"),
        ({"corpus": Path("a")}, "nothing that is computed from it"),
        ({"pooling": ("cls",)}, "pooling is cls, expected some of max, mean"),
        ({"pooling": ()}, "pooling is empty"),
        ({"pooling": ("max",), "remove_component": True, "corpus": Path("a")}, "a component is taken out of means"),
        ({"table": "int4"}, "table is 'int4', expected one of fp32, fp16, int8"),
        ({"weighting": "tf"}, "word weights are 'tf'"),
        ({"drop_frequent": -1}, "drop_frequent is -1"),
    ],
)
def test_options_that_contradict(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        WordVectorOptions(**options)


@pytest.mark.parametrize(
    ("lines", "options", "expected"),
    [
        (["nothing here"], {"weighting": "sif"}, "none of the words of .* has a vector"),
        (["cat dog"], {"weighting": "idf"}, r"every text of the corpus \(1\) has every word"),
        (["cat dog", "cat"], {"drop_frequent": 2}, "2 words were to be dropped, but the corpus has 2"),
        (["cat dog", "unknown"], {"remove_component": True}, "1 texts of the corpus have words with vectors"),
        ([""], {"weighting": "idf"}, "holds no text"),
    ],
)
def test_corpora_that_are_too_small(
    glove: Path, tmp_path: Path, write_lines: Callable[[list[str]], Path], lines: list[str], options: Any, expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        exported(glove, tmp_path / "out", corpus=write_lines(lines), **options)
    assert not list(tmp_path.iterdir())


def test_duplicates_are_told(
    tmp_path: Path, write_lines: Callable[[list[str]], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = write_lines(["cat 1 2", "dog 3 4", "cat 5 6"])
    export_word_vectors(vectors, tmp_path / "out")
    assert "line 3 has 'cat' for the second time: the first row of a word is kept" in capsys.readouterr().err
    np.testing.assert_array_equal(encoded(tmp_path / "out", ["cat"]), [[1, 2]])


def test_no_pytorch_is_loaded(glove: Path, corpus: Path, tmp_path: Path, run_python: Callable[..., Any]) -> None:
    code = """
import sys
from pathlib import Path
from embedrt_export.words.job import export_word_vectors
from embedrt_export.words.options import WordVectorOptions
options = WordVectorOptions(weighting="sif", remove_component=True, corpus=Path(sys.argv[2]))
export_word_vectors(sys.argv[1], sys.argv[3], options=options, quiet=True)
from embedrt import SentenceEncoder
print(SentenceEncoder(sys.argv[3]).encode("cat dog").shape)
print([name for name in ("torch", "transformers", "sentence_transformers", "nltk", "jieba", "gensim") if name in sys.modules])
"""
    done = run_python(code, glove, corpus, tmp_path / "out")
    assert done.stdout.split("\n")[:2] == ["(30,)", "[]"], done.stderr
