"""A 12-layer 768-wide BERT with random weights and the vocabulary of the Chinese BERTs: the size that BGE and text2vec have."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from embedrt_bench.engines.catalogue import specification
from embedrt_bench.engines.peers import OWN, python_of
from embedrt_bench.engines.process import EngineProcess
from embedrt_bench.engines.right_vectors import require_right_vectors
from embedrt_bench.models.cached import CACHE, cached
from embedrt_bench.models.minilm import with_variants
from embedrt_bench.scenarios.offline import offline
from embedrt_bench.texts.data import sts_zh_texts
from embedrt_export.quantization import Precision

from embedrt import SentenceEncoder
from embedrt.errors import InputError

__all__ = ["bert_zh_artifact", "bert_zh_checkpoint", "bert_zh_rates", "texts_of_length"]

_TOKENS, _TEXTS = 64, 128


def bert_zh_rates(data: Path, *, threads: int, rounds: int) -> dict[str, Any]:
    """Texts of 64 tokens a second, by engine: ours in fp32 and int8; a time counts as every worst cosine is over 0.8."""
    artifact = bert_zh_artifact(data, CACHE / "bert-zh")
    texts = texts_of_length(data, artifact, tokens=_TOKENS, count=_TEXTS)
    with ExitStack() as stack:
        engines = []
        for spec in map(specification, ("embedrt fp32", "embedrt int8")):
            options = {"artifact": str(artifact), "variant": spec.variant}
            process = EngineProcess(spec.name, spec.loader, options, python=python_of(OWN), threads=threads)
            stack.enter_context(process).load()
            engines.append(process)
            require_right_vectors(process, texts, engines[0].encode(texts), spec.smallest_cosine)
        measured = offline(engines, texts, tokens=_TOKENS * _TEXTS, rounds=rounds, title="a larger model")
    return {name: found["texts_per_second"]["median"] for name, found in measured.items()}


def bert_zh_artifact(data: Path, out: Path, precisions: tuple[Precision, ...] = ("int8",)) -> Path:
    """The artifact at ``out`` with these variants beside fp32, made if it is not there."""

    def make() -> None:
        import embedrt_export

        with tempfile.TemporaryDirectory() as place:
            embedrt_export.export(str(bert_zh_checkpoint(data, Path(place))), out, overwrite=True)

    cached(out, make)
    return with_variants(out, precisions)


def texts_of_length(data: Path, artifact: Path, *, tokens: int, count: int) -> list[str]:
    """So many different Chinese texts of exactly so many tokens: STS sentences one behind another, cut to fit.

    Raises:
        InputError: the files do not give as many.
    """
    letters = tokens - 2  # [CLS] and [SEP]; a letter is a token
    texts = _cut_apart(sts_zh_texts(data, "test"), letters)
    if len(texts) < count:
        texts = _cut_apart(sts_zh_texts(data, "test", "valid", "train"), letters)
    if len(texts) < count:
        raise InputError(f"{data / 'sts-zh'} gives {len(texts)} texts of {tokens} tokens, expected at least {count}")
    texts = texts[:count]
    with SentenceEncoder(artifact) as encoder:
        lengths = {len(row) for row in encoder.tokenize(texts)}
    if lengths != {tokens}:
        raise ValueError(f"texts have {sorted(lengths)} tokens, expected {tokens} each")
    return texts


def _cut_apart(texts: Sequence[str], letters: int) -> list[str]:
    """The Chinese letters of ``texts`` in pieces of so many, each once: equal texts of a call run once."""
    only = [letter for text in texts for letter in text if "\u4e00" <= letter <= "\u9fff"]
    ends = range(letters, len(only) + 1, letters)
    return list(dict.fromkeys("".join(only[end - letters : end]) for end in ends))


def bert_zh_checkpoint(data: Path, folder: Path) -> Path:
    """The same checkpoint each time, saved into ``folder``."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, BertTokenizer

    vocabulary = (data / "vocab/bert-base-chinese.txt").read_text(encoding="utf-8").split("\n")
    pieces = {piece: index for index, piece in enumerate(line for line in vocabulary if line)}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=max(pieces.values()) + 1)).save_pretrained(folder / "bert")
    BertTokenizer(vocab=pieces, model_max_length=512).save_pretrained(folder / "bert")
    modules = [Transformer(str(folder / "bert")), Pooling(768), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "bert-zh-random"))
    return folder / "bert-zh-random"
