"""Each system under measurement, used in the way its own users use it: one function an engine, options in, ``encode`` out.

Run inside of the worker process, perhaps in a peer's environment: the standard library and numpy at the top, libraries
inside of their loader, nothing of embedrt_bench. A loader gives the function that encodes a list of texts, float32
(texts, dim) out, and the settings that a result file records.
"""

import importlib
import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Encode = Callable[[list[str]], Any]
Loaded = tuple[Encode, dict[str, str]]


def embedrt(artifact: str, variant: str, threads: int, device: str = "cpu") -> Loaded:
    """Ours: an artifact and one of its variants, everything else at its default, whatever ``embedrt tune`` found here."""
    from embedrt import SentenceEncoder
    from embedrt.inference.layout import default_layout

    layout = default_layout(threads) if device == "cpu" else None
    encoder = SentenceEncoder(artifact, variant=variant, threads=threads, device=device, layout=layout)
    package = next(name for name in ("onnxruntime-gpu", "onnxruntime") if _is_installed(name))
    return encoder.encode, {"variant": variant, "device": device, **_versions(package, "tokenizers")}


def sentence_transformers(
    checkpoint: str, dtype: str, threads: int, device: str = "cpu", attention: str | None = None
) -> Loaded:
    """sentence-transformers on PyTorch, with its default batch size; ``attention`` as transformers names it, None: its choice."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    chosen = {} if attention is None else {"attn_implementation": attention}
    model = SentenceTransformer(checkpoint, device=device, model_kwargs={"dtype": getattr(torch, dtype), **chosen})

    def encode(texts: list[str]) -> Any:
        return np.asarray(model.encode(texts, batch_size=32, show_progress_bar=False), dtype=np.float32)

    described = {"dtype": dtype, "device": device, **chosen, "batch_size": "32"}
    return encode, {**described, **_versions("sentence-transformers", "transformers", "torch")}


def openvino(folder: str, file: str, threads: int) -> Loaded:
    """sentence-transformers with backend="openvino", on files that ``openvino_files.py`` wrote."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)  # pooling stays in PyTorch
    kwargs = {"file_name": file, "ov_config": {"INFERENCE_NUM_THREADS": threads}}
    model = SentenceTransformer(folder, device="cpu", backend="openvino", model_kwargs=kwargs)

    def encode(texts: list[str]) -> Any:
        return model.encode(texts, batch_size=32, show_progress_bar=False)

    found = _versions("sentence-transformers", "transformers", "optimum-intel", "openvino", "nncf", "torch")
    return encode, {"file": file, "batch_size": "32", **found}


def fastembed(folder: str, batch_size: int, threads: int) -> Loaded:
    """The package fastembed, with a custom model whose graph pools and normalizes by itself."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        model="local/model", pooling=PoolingType.DISABLED, normalization=False, dim=_width(folder),
        sources=ModelSource(hf="local/model"), model_file="model.onnx",
    )  # fmt: skip
    model = TextEmbedding(
        "local/model", specific_model_path=folder, threads=threads, providers=["CPUExecutionProvider"]
    )

    def encode(texts: list[str]) -> Any:
        return np.stack(list(model.embed(texts, batch_size=batch_size)))

    return encode, {"batch_size": str(batch_size), **_versions("fastembed", "onnxruntime", "tokenizers")}


def light_embed(folder: str, threads: int) -> Loaded:
    """light-embed on a local folder; it has no option for threads, so the affinity of this process alone limits it."""
    from light_embed import TextEmbedding

    config = {"model_name": "local", "onnx_file": "model.onnx", "normalize": False}  # the graph does it
    model = TextEmbedding(folder, model_config=config, device="cpu")

    def encode(texts: list[str]) -> Any:
        return model.encode(texts)

    return encode, {"batch_size": "32", **_versions("light-embed", "onnxruntime", "tokenizers")}


def pooling_in_numpy(folder: str, threads: int) -> Loaded:
    """ONNX Runtime on a graph of the transformer alone, 32 texts a batch padded to the longest, the rest in numpy."""
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"])
    names = {value.name for value in session.get_inputs()}
    tokenizer = _padding_tokenizer(Tokenizer.from_file(f"{folder}/tokenizer.json"), folder)

    def batch(texts: list[str]) -> Any:
        encodings = tokenizer.encode_batch(texts)
        ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)  # (batch, sequence)
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = session.run(None, {name: feed[name] for name in names})[0]  # (batch, sequence, hidden)
        weights = mask[:, :, None].astype(np.float32)
        return _unit((hidden * weights).sum(axis=1) / weights.sum(axis=1))

    def encode(texts: list[str]) -> Any:
        return np.concatenate([batch(texts[at : at + 32]) for at in range(0, len(texts), 32)])

    return encode, {"batch_size": "32", **_versions("onnxruntime", "tokenizers")}


def static_vectors(folder: str, threads: int) -> Loaded:
    """The checkpoint's word embeddings, averaged: no transformer at all, so no quality; how fast one could ever be."""
    from tokenizers import Tokenizer

    table = np.load(f"{folder}/table.npy")  # (vocabulary, hidden)
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def encode(texts: list[str]) -> Any:
        rows = [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]
        sums = np.stack([table[row].sum(axis=0) for row in rows])  # the mean's direction
        return _unit(sums)

    return encode, {"table": "word embeddings of the checkpoint", **_versions("numpy", "tokenizers")}


def imported(module: str, function: str, threads: int) -> Loaded:
    """An engine of one's own: ``function(threads)`` of an importable module, with the result of any loader here."""
    loaded: Loaded = getattr(importlib.import_module(module), function)(threads)
    return loaded


LOADERS: dict[str, Callable[..., Loaded]] = {
    "embedrt": embedrt,
    "sentence-transformers": sentence_transformers,
    "openvino": openvino,
    "fastembed": fastembed,
    "light-embed": light_embed,
    "onnxruntime": pooling_in_numpy,
    "static": static_vectors,
    "imported": imported,
}


def _padding_tokenizer(tokenizer: Any, folder: str) -> Any:
    config = json.loads(Path(folder, "tokenizer_config.json").read_text(encoding="utf-8"))
    tokenizer.enable_truncation(config["model_max_length"])
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id(config["pad_token"]), pad_token=config["pad_token"])
    return tokenizer


def _width(folder: str) -> int:
    return int(json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))["hidden_size"])


def _unit(vectors: Any) -> Any:
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _versions(*names: str) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in names}
