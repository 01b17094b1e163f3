"""What sentence-transformers' classes and functions take that ours do not: renamed, without influence here, or elsewhere.

Code that moves over keeps its lines where they mean the same here, and is told what to type where they do not: a name that
were dropped in silence would give other vectors than before.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any, ParamSpec, TypeVar

__all__ = ["ATTRIBUTES", "ENCODING", "OPENING", "SETTINGS", "moved", "why_missing"]

P = ParamSpec("P")
R = TypeVar("R")

_TENSORS = "there is no PyTorch here: leave it out, and pass arrays to torch.from_numpy"
_DEVICE = "pass device= where the model is opened: 'cpu', 'cuda', 'cuda:1' or 'auto'"
_PROCESSES = "encode uses all processors; several cards, or corpora of any size: embedrt map"
_GRAPH = "a graph is never trained and has no modules: train the checkpoint, and export it again"

OPENING: Mapping[str, str] = {
    "activation_fn": "pass it to predict and rank",
    "backend": "everything runs on ONNX Runtime: leave it out",
    "cache_folder": "set the environment variable HF_HUB_CACHE",
    "config_kwargs": "the graph is finished: pass such settings where it is exported",
    "document_length": "set it in the checkpoint, and export it again",
    "local_files_only": "set the environment variable HF_HUB_OFFLINE to 1",
    "max_active_dims": "pass it to encode, encode_query and encode_document",
    "model_card_data": _GRAPH,
    "model_kwargs": "choose device= and variant= (fp32, int8, fp16 …), which embedrt inspect lists",
    "modules": _GRAPH,
    "num_labels": "the exported head has its labels: leave it out",
    "processor_kwargs": "the tokenizer is finished: pass max_seq_length=, or set it up where it is exported",
    "query_length": "set it in the checkpoint, and export it again",
    "similarity_fn_name": "set it in the checkpoint, or call the function of embedrt.similarity",
    "token": "set the environment variable HF_TOKEN",
    "tokenizer_kwargs": "the tokenizer is finished: pass max_seq_length=, or set it up where it is exported",
    "trust_remote_code": "what serves runs no code of a checkpoint: leave it out here, embedrt export has --trust-remote-code",
    "use_auth_token": "set the environment variable HF_TOKEN",
}
"""Arguments of the classes, and what to do instead."""

ENCODING: Mapping[str, str] = {
    "chunk_size": _PROCESSES,
    "convert_to_sparse_tensor": _TENSORS,
    "convert_to_tensor": _TENSORS,
    "device": _DEVICE,
    "pool": _PROCESSES,
    "task": "encode_query and encode_document say what texts are",
}
"""Arguments of the methods, likewise."""

ATTRIBUTES: Mapping[str, str] = {
    "cpu": _DEVICE,
    "cuda": _DEVICE,
    "encode_multi_process": _PROCESSES,
    "eval": "a graph is always in evaluation mode: leave it out",
    "evaluate": "evaluate encode's arrays, or the checkpoint before it is exported",
    "fit": _GRAPH,
    "half": "pass variant='fp16' where the model is opened",
    "model_card_data": _GRAPH,
    "push_to_hub": "upload the artifact's folder: hf upload ORGANIZATION/NAME FOLDER",
    "save": "the artifact's folder is the model: copy it",
    "save_pretrained": "the artifact's folder is the model: copy it",
    "start_multi_process_pool": _PROCESSES,
    "stop_multi_process_pool": _PROCESSES,
    "to": _DEVICE,
    "tokenizer": "tokenize gives ids, cut at max_seq_length; the whole tokenizer: tokenizers.Tokenizer.from_file(tokenizer.json)",
    "train": _GRAPH,
}
"""What models have there and not here, likewise."""

SETTINGS: Mapping[str, str] = {
    "activation_fn": "pass it to predict and rank",
    "default_prompt_name": "pass it where the model is opened",
    "max_active_dims": "pass it to encode, encode_query and encode_document",
    "max_length": "pass max_seq_length= where the model is opened",
    "max_seq_length": "pass it where the model is opened; more than the artifact has: embedrt export --max-seq-length",
    "prompts": "pass them where the model is opened",
    "similarity_fn_name": OPENING["similarity_fn_name"],
    "truncate_dim": "pass it where the model is opened, or to encode",
}
"""What is set on a model there, and fixed here once it is open, since threads share it."""


def why_missing(name: str, owner: str, told: Mapping[str, str]) -> str:
    """Why ``owner`` has nothing of this name, as a sentence.

    >>> why_missing("eval", "SentenceEncoder", ATTRIBUTES)
    'SentenceEncoder has no eval: a graph is always in evaluation mode: leave it out'
    """
    return f"{owner} has no {name}" + (f": {told[name]}" if name in told else "")


def moved(
    told: Mapping[str, str], *, ignored: tuple[str, ...] = (), **renamed: str
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function that takes sentence-transformers' arguments too.

    Args:
        told: arguments that it has not, and what to do instead. None and False ask for nothing, and are let pass.
        ignored: arguments that change no result here, whatever they are.
        renamed: its own names by those that they have there.
    """

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        own, open_ended = _names(function.__code__)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if not kwargs.keys() <= own:
                kwargs = _own(kwargs, args)  # type: ignore[assignment]
            return function(*args, **kwargs)

        def _own(given: Mapping[str, Any], args: tuple[Any, ...]) -> dict[str, Any]:
            kept = {renamed.get(name, name): value for name, value in given.items() if name not in ignored}
            for name in kept.keys() - own - (kept.keys() if open_ended else set()):
                value = kept.pop(name)
                if name not in told:
                    takes = ", ".join(sorted(own - {"self"}))
                    raise TypeError(f"{_title(function, args)} takes no argument {name}, but {takes}")
                if value is not None and value is not False:
                    raise TypeError(f"{_title(function, args)} takes no argument {name}: {told[name]}")
            return kept

        return call

    return wrap


def _names(code: CodeType) -> tuple[frozenset[str], bool]:
    """A function's parameters, and whether it takes any others."""
    stop = code.co_argcount + code.co_kwonlyargcount
    return frozenset(code.co_varnames[:stop]), bool(code.co_flags & inspect.CO_VARKEYWORDS)


def _title(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """What a caller typed: the class that was called, else the function's name."""
    return type(args[0]).__name__ if function.__name__ == "__init__" else function.__name__
