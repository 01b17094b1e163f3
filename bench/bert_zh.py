"""A 12-layer 768-wide BERT with random weights and the vocabulary of the Chinese BERTs: the size that BGE and text2vec have."""

import tempfile
from pathlib import Path

from embedrt_bench.minilm import with_variants

from embedrt import SentenceEncoder
from embedrt.manifest import MANIFEST_FILE

__all__ = ["bert_zh_artifact", "texts_of_length"]


def bert_zh_artifact(data: Path, out: Path) -> Path:
    """The artifact at ``out`` with its int8 variant, made if it is not there."""
    if not (out / MANIFEST_FILE).is_file():
        import embedrt_export

        with tempfile.TemporaryDirectory() as place:
            embedrt_export.export(str(_checkpoint(data, Path(place))), out, overwrite=True)
    return with_variants(out, ("int8",))


def texts_of_length(data: Path, artifact: Path, *, tokens: int, count: int) -> list[str]:
    """Chinese texts of exactly so many tokens: STS sentences one behind another, cut to fit."""
    lines = (data / "sts-zh/STS-B.test.tsv").read_text(encoding="utf-8").split("\n")
    letters = "".join("".join(line.split("\t")[:2]) for line in lines)
    only = "".join(letter for letter in letters if "\u4e00" <= letter <= "\u9fff")  # a letter is a token
    inner = tokens - 2  # [CLS] and [SEP]
    texts = [only[at * inner : (at + 1) * inner] for at in range(count)]
    with SentenceEncoder(artifact) as encoder:
        lengths = {len(row) for row in encoder.tokenize(texts)}
    if lengths != {tokens}:
        raise ValueError(f"texts have {sorted(lengths)} tokens, expected {tokens} each")
    return texts


def _checkpoint(data: Path, folder: Path) -> Path:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, BertTokenizer

    vocabulary = (data / "vocab/bert-base-chinese.txt").read_text(encoding="utf-8").split("\n")
    pieces = {piece: index for index, piece in enumerate(line for line in vocabulary if line)}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(pieces))).save_pretrained(folder / "bert")
    BertTokenizer(vocab=pieces, model_max_length=512).save_pretrained(folder / "bert")
    modules = [Transformer(str(folder / "bert")), Pooling(768), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "bert-zh-random"))
    return folder / "bert-zh-random"
