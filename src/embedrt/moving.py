"""What sentence-transformers' classes and functions take that ours do not: renamed, without influence here, or elsewhere.

Code that moves over keeps its lines where they mean the same here, and is told what to type where they do not: a name that
were dropped in silence would give other vectors than before.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any, ParamSpec, TypeVar

__all__ = ["ATTRIBUTES", "ENCODING", "OPENING", "OTHERS", "SETTINGS", "moved", "why_missing"]

P = ParamSpec("P")
R = TypeVar("R")

_TENSORS = "there is no PyTorch here: leave it out, and pass arrays to torch.from_numpy"
_DEVICE = "pass device= where the model is opened: 'cpu', 'cuda', 'cuda:1' or 'auto'"
_PROCESSES = "encode uses all processors; several cards, or corpora of any size: embedrt map"
_GRAPH = "a graph is never trained and has no modules: train the checkpoint, and export it again"
_CHECKPOINT = "set it in the checkpoint, and export it again"
_PREDICT = "pass it to predict and rank"
_ENCODE = "pass it to encode, encode_query and encode_document"
_SIMILARITY = "set it in the checkpoint, or call the function of embedrt.similarity"
_TOKENIZER = "the tokenizer is finished: pass max_seq_length=, or set it up where it is exported"
_FOLDER = "the artifact's folder is the model: copy it"
_QUERY, _DOCUMENT = "encode_query is its name here", "encode_document is its name here"
_TOKEN = "set the environment variable HF_TOKEN"

OPENING: Mapping[str, str] = {
    "activation_fn": _PREDICT,
    "backend": "everything runs on ONNX Runtime: leave it out",
    "cache_folder": "set the environment variable HF_HUB_CACHE",
    "config_kwargs": "the graph is finished: pass such settings where it is exported",
    "document_length": _CHECKPOINT,
    "local_files_only": "set the environment variable HF_HUB_OFFLINE to 1",
    "max_active_dims": _ENCODE,
    "model_card_data": _GRAPH,
    "model_kwargs": "choose device= and variant= (fp32, int8, fp16 …), which embedrt inspect lists",
    "modules": _GRAPH,
    "num_labels": "the exported head has its labels: leave it out",
    "processor_kwargs": _TOKENIZER,
    "query_length": _CHECKPOINT,
    "similarity_fn_name": _SIMILARITY,
    "token": _TOKEN,
    "tokenizer_kwargs": _TOKENIZER,
    "trust_remote_code": "what serves runs no code of a checkpoint: leave it out here, embedrt export has --trust-remote-code",
    "use_auth_token": _TOKEN,
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
    "save": _FOLDER,
    "save_pretrained": _FOLDER,
    "start_multi_process_pool": _PROCESSES,
    "stop_multi_process_pool": _PROCESSES,
    "to": _DEVICE,
    "tokenizer": "tokenize gives ids, cut at max_seq_length; the whole tokenizer: tokenizers.Tokenizer.from_file(tokenizer.json)",
    "train": _GRAPH,
}
"""What models have there and not here, likewise."""

OTHERS: Mapping[str, str] = {
    "compute_score": "a CrossEncoder's predict scores pairs of texts",
    "embed": "encode gives vectors of a list, SentenceEncoder's encode_iter those of a stream",
    "encode_corpus": _DOCUMENT,
    "encode_queries": _QUERY,
    "passage_embed": _DOCUMENT,
    "query_embed": _QUERY,
    "rerank": "a CrossEncoder's rank orders documents, predict scores pairs of texts",
}
"""What models of fastembed and FlagEmbedding have, likewise."""

SETTINGS: Mapping[str, str] = {
    "activation_fn": _PREDICT,
    "default_prompt_name": "pass it where the model is opened",
    "max_active_dims": _ENCODE,
    "max_length": "pass max_seq_length= where the model is opened",
    "max_seq_length": "pass it where the model is opened; more than the artifact has: embedrt export --max-seq-length",
    "prompts": "pass them where the model is opened",
    "similarity_fn_name": _SIMILARITY,
    "truncate_dim": "pass it where a SentenceEncoder is opened, or to its encode",
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
        names = _Names(function.__code__, told, ignored, renamed)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if not kwargs.keys() <= names.own:
                title = type(args[0]).__name__ if function.__name__ == "__init__" else function.__name__
                kwargs = names.of(title, kwargs)  # type: ignore[assignment]
            return function(*args, **kwargs)

        return call

    return wrap


class _Names:
    """The arguments that a function knows, in whatever way."""

    def __init__(
        self, code: CodeType, told: Mapping[str, str], ignored: tuple[str, ...], renamed: Mapping[str, str]
    ) -> None:
        self.own = frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
        self._hands_on = bool(code.co_flags & inspect.CO_VARKEYWORDS)
        self._told, self._ignored, self._renamed = told, ignored, renamed

    def of(self, title: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the function called ``title`` is handed, of what was ``given``.

        Raises:
            TypeError: an argument asks for something that it cannot do.
        """
        for name, ours in self._renamed.items():
            if name in given and ours in given:
                raise TypeError(f"{title} takes {ours}, which is {name} elsewhere, once: leave one of them out")
        kept = {self._renamed.get(name, name): value for name, value in given.items() if name not in self._ignored}
        for name in kept.keys() - self.own:
            if name in self._told:
                if kept.pop(name) not in (None, False):
                    raise TypeError(f"{title} takes no argument {name}: {self._told[name]}")
            elif not self._hands_on:
                raise TypeError(f"{title} takes no argument {name}, but {', '.join(sorted(self.own - {'self'}))}")
        return kept
