"""sentence-transformers' modules on words, loaded, as a :class:`~embedrt_export.words.model.WordModel` and a file of words."""

from typing import Any

import numpy as np
import numpy.typing as npt
from embedrt_export.checkpoint import Checkpoint
from embedrt_export.graft.activations import ACTIVATIONS
from embedrt_export.graft.chain import Dense, LayerNorm, Module, Normalize, Truncate
from embedrt_export.modules.whitening import WhitenedVectors
from embedrt_export.words.model import (
    BagOfWords,
    Convolutions,
    Kernel,
    Lstm,
    LstmLayer,
    TokenModule,
    Whitening,
    WordModel,
    WordWeights,
)
from sentence_transformers.base import modules as general
from sentence_transformers.sentence_transformer import modules as theirs

from embedrt.errors import CheckpointError

__all__ = ["word_model"]

_TOKENS, _VECTORS = "token_embeddings", "sentence_embedding"
_BEFORE = "WordWeights, LSTM, CNN, and Dense and Normalize on token_embeddings"
_BEHIND = "Dense, LayerNorm, Normalize and Dropout"
_GATES = [0, 3, 1, 2]
"""PyTorch has input, forget, cell, output; ONNX input, output, forget, cell."""

Floats = npt.NDArray[np.float32]


def word_model(checkpoint: Checkpoint) -> WordModel | BagOfWords:
    """The checkpoint's modules in their order.

    Raises:
        CheckpointError: one cannot be put into the graph, or two do not belong together.
    """
    first, *rest = checkpoint.model
    cut = checkpoint.model.truncate_dim
    tail = (Truncate(int(cut)),) if cut is not None else ()
    if isinstance(first, theirs.BoW):
        weights = np.asarray(first.weights, dtype=np.float32)
        counts = bool(first.cumulative_term_frequency)
        return BagOfWords(weights=weights, counts=counts, finish=(*_finishing(rest), *tail))
    names = [type(module).__name__ for module in rest]
    if names.count("Pooling") != 1:
        raise CheckpointError(
            f"modules.json lists {', '.join(['WordEmbeddings', *names])}; the exporter takes WordEmbeddings, then any of "
            f"{_BEFORE}, then one Pooling, then any of {_BEHIND}"
        )
    at = names.index("Pooling")
    table = _array(first.emb_layer.weight)
    return WordModel(
        table=table,
        on_tokens=tuple(_on_tokens(module, len(table)) for module in rest[:at]),
        pooling=_modes(rest[at]),
        finish=(*_finishing(rest[at + 1 :]), *tail),
    )


def _modes(pooling: Any) -> tuple[str, ...]:
    modes = (pooling.pooling_mode,) if isinstance(pooling.pooling_mode, str) else tuple(pooling.pooling_mode)
    if "cls" in modes:
        raise CheckpointError(
            "1_Pooling/config.json has pooling_mode cls, but there is no token that stands for the whole text before words: "
            "sentence-transformers cannot run this checkpoint either"
        )
    return modes


def _on_tokens(module: Any, words: int) -> TokenModule:
    if isinstance(module, theirs.WordWeights):
        weights = _array(module.emb_layer.weight)[:, 0]
        if len(weights) != words:
            raise CheckpointError(
                f"WordWeights has a vocabulary of {len(weights)} words, but WordEmbeddings has vectors of {words}: "
                "one of the two is of another checkpoint"
            )
        return WordWeights(weights=weights)
    if isinstance(module, theirs.LSTM):
        return Lstm(layers=tuple(_lstm_layer(module.encoder, number) for number in range(module.encoder.num_layers)))
    if isinstance(module, theirs.CNN):
        return _convolutions(module)
    if isinstance(module, general.Dense) and (module.module_input_name, module.module_output_name) == (
        _TOKENS,
        _TOKENS,
    ):
        return _dense(module)
    if isinstance(module, general.Normalize) and module.module_input_name == module.module_output_name == _TOKENS:
        return Normalize()
    raise CheckpointError(
        f"modules.json lists a {type(module).__name__} before pooling; behind words the exporter takes {_BEFORE} there"
    )


def _lstm_layer(encoder: Any, number: int) -> LstmLayer:
    ends = ["", "_reverse"] if encoder.bidirectional else [""]
    weights = {
        name: [_onnx_gates(_array(getattr(encoder, f"{name}_l{number}{end}"))) for end in ends]
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    biases = [np.concatenate(pair) for pair in zip(weights["bias_ih"], weights["bias_hh"], strict=True)]
    return LstmLayer(
        inputs=np.stack(weights["weight_ih"]), recurrent=np.stack(weights["weight_hh"]), biases=np.stack(biases)
    )


def _onnx_gates(array: Floats) -> Floats:
    """Blocks of the first axis, one a gate, in ONNX's order."""
    blocks = array.reshape(len(_GATES), -1, *array.shape[1:])
    return blocks[_GATES].reshape(array.shape)


def _convolutions(module: Any) -> Convolutions:
    if any(size % 2 == 0 for size in module.kernel_sizes) or any(step != 1 for step in module.stride_sizes):
        raise CheckpointError(
            f"the CNN has kernel_sizes {module.kernel_sizes} and stride_sizes {module.stride_sizes}; "
            "only odd kernels with stride 1 give a vector for each word, which pooling needs"
        )
    return Convolutions(
        kernels=tuple(Kernel(weight=_array(made.weight), bias=_array(made.bias)) for made in module.convs)
    )


def _finishing(modules: list[Any]) -> list[Module | Whitening]:
    return [_behind(module) for module in modules if not isinstance(module, theirs.Dropout)]


def _behind(module: Any) -> Module | Whitening:
    if isinstance(module, WhitenedVectors):
        return Whitening(mean=_array(module.mean.float()), matrix=_array(module.matrix.float()))
    if isinstance(module, general.Normalize) and module.module_input_name == module.module_output_name == _VECTORS:
        return Normalize()
    if isinstance(module, theirs.LayerNorm):
        return LayerNorm(reads="", weight=_array(module.norm.weight), bias=_array(module.norm.bias))
    if isinstance(module, general.Dense) and module.module_input_name == module.module_output_name == _VECTORS:
        return _dense(module)
    raise CheckpointError(
        f"modules.json lists a {type(module).__name__} behind pooling; the exporter takes {_BEHIND} there"
    )


def _dense(module: Any) -> Dense:
    activation = type(module.activation_function).__name__
    if activation not in ACTIVATIONS:
        raise CheckpointError(
            f"a Dense has activation_function {activation}; behind words the exporter takes torch.nn's {', '.join(ACTIVATIONS)}"
        )
    shortcut = getattr(module, "residual", None)
    return Dense(
        reads="",
        weight=_array(module.linear.weight).T.copy(),
        bias=None if module.linear.bias is None else _array(module.linear.bias),
        activation=activation,
        slope=_array(module.activation_function.weight) if activation == "PReLU" else None,
        residual=bool(module.use_residual),
        shortcut=None if shortcut is None else _array(shortcut.weight).T.copy(),
    )


def _array(parameter: Any) -> Floats:
    array: Floats = parameter.detach().numpy()
    return array
