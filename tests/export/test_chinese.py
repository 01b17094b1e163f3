"""The vocabulary of the Chinese BERTs: token ids as sentence-transformers gives them, on real sentences and on odd characters."""

from pathlib import Path

import embedrt_export
import numpy as np
import pytest
import torch
from embedrt_bench.texts.data import data_folder
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import BertConfig, BertModel, BertTokenizer

from embedrt import SentenceEncoder

ODD = [
    "ＡＢＣ１２３，全角字符！",  # full-width
    "「引号」、《书名》；——……·",
    "iPhone15的价格是¥5,999元/台，OK？",
    "今天天气真好😀👍🏽，我们去公园吧🏞️",
    "𠮷野家的牛肉飯",  # outside of the basic plane
    "龘靐齉麤",  # rare
    "裡臺灣學習電腦",  # traditional
    "日本語のテキストと한국어",
    "\u3000全角空格\u00a0不换行空格\u200b零宽",
    "e\u0301 é ﬁ ①②③ ㎡ ℃",  # what normalization changes
    "\ufeff带BOM的文本\x00控制\x07字符",
    "".join(chr(point) for point in range(0x4E00, 0x4E00 + 300)),
    "中" * 700,
    " ",
    "",
]


@pytest.fixture(scope="module", params=[True, False], ids=["lowercase", "cased"])
def chinese(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small BERT with the real vocabulary: checkpoint and artifact."""
    data = data_folder()
    if data is None:
        pytest.skip("the Chinese vocabulary is not at hand: set EMBEDRT_DATA to the folder that holds vocab/")
    pieces = (data / "vocab" / "bert-base-chinese.txt").read_text(encoding="utf-8").split("\n")
    vocabulary = {piece: index for index, piece in enumerate(pieces) if piece}
    folder = tmp_path_factory.mktemp("chinese")
    BertTokenizer(vocab=vocabulary, model_max_length=512, do_lower_case=request.param).save_pretrained(folder / "plain")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=max(vocabulary.values()) + 1,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
    )
    BertModel(config).save_pretrained(folder / "plain")
    transformer = Transformer(str(folder / "plain"))
    modules = [transformer, Pooling(32, pooling_mode="cls"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "checkpoint"))
    embedrt_export.export(str(folder / "checkpoint"), folder / "out", quiet=True)
    return folder / "checkpoint", folder / "out"


def sentences() -> list[str]:
    """Every sentence of the Chinese STS-B, and the odd ones."""
    data = data_folder()
    assert data is not None
    lines = [
        line
        for path in sorted((data / "sts-zh").glob("*.tsv"))
        for line in path.read_text(encoding="utf-8").split("\n")
    ]
    return [*ODD, *dict.fromkeys(text for line in lines for text in line.split("\t")[:2] if text)]


def test_token_ids_of_all_sentences(chinese: tuple[Path, Path]) -> None:
    checkpoint, out = chinese
    texts = sentences()
    assert len(texts) > 10_000
    theirs = SentenceTransformer(str(checkpoint), device="cpu").tokenizer
    expected = theirs(texts, truncation=True)["input_ids"]
    with SentenceEncoder(out) as encoder:
        found = encoder.tokenize(texts)
    different = [text for text, ours, ids in zip(texts, found, expected, strict=True) if ours.tolist() != ids]
    assert different == []


def test_vectors_of_odd_texts(chinese: tuple[Path, Path]) -> None:
    checkpoint, out = chinese
    texts = sentences()[::200] + ODD
    expected = SentenceTransformer(str(checkpoint), device="cpu").encode(texts)
    with SentenceEncoder(out) as encoder:
        np.testing.assert_allclose(encoder.encode(texts), expected, rtol=0, atol=1e-5)
