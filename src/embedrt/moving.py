"""What sentence-transformers' classes and functions take that ours do not: renamed, without influence here, or elsewhere.

Code that moves over keeps its lines where they mean the same here, and is told what to type where they do not: a name that
were dropped in silence would give other vectors than before.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import CodeType
from typing import Any, ParamSpec, TypeVar

__all__ = [
    *(
        "ATTRIBUTES",
        "COMPARING",
        "ENCODING",
        "OF_CROSS_ENCODERS",
        "OF_HYBRIDS",
        "OPENING",
        "OTHERS",
        "SETTINGS",
        "TOKENS",
    ),
    *("moved", "why_missing"),
]

P = ParamSpec("P")
R = TypeVar("R")

_ARRAYS = "there is no PyTorch here: leave it out, and pass arrays to torch.from_numpy"
_DEVICE = "pass device= where the model is opened: 'cpu', 'cuda', 'cuda:1' or 'auto'"
_PROCESSES = "one call uses all processors; several cards, or corpora of any size: embedrt map"
_GRAPH = "a graph is never trained and has no modules: train the checkpoint, and export it again"
_CHECKPOINT = "set it in the checkpoint, and export it again"
_PREDICT = "pass it to predict and rank"
_ENCODE = "pass it to encode, encode_query and encode_document"
_SIMILARITY = "set it in the checkpoint, or call the function of embedrt.similarity"
_TOKENIZER = "the tokenizer is finished: pass max_seq_length=, or set it up where it is exported"
_FOLDER = "the artifact's folder is the model: copy it"
_QUERY, _DOCUMENT = "encode_query is its name here", "encode_document is its name here"
_TOKEN = "set the environment variable HF_TOKEN"
_UPLOAD = "upload the artifact's folder: hf upload ORGANIZATION/NAME FOLDER"
_CACHE = "set the environment variable HF_HUB_CACHE"
_CONFIG = "the graph is finished: pass such settings where it is exported"
_VARIANT = "choose device= and variant= (fp32, int8, fp16 …), which embedrt inspect lists"
_RUNTIME = "everything runs on ONNX Runtime: leave it out"
_TOKENS = (
    "tokenize gives ids, cut at max_seq_length; the whole tokenizer: tokenizers.Tokenizer.from_file(tokenizer.json)"
)
_NO_MODULES = "a graph has no modules of PyTorch: load the checkpoint for them"

OPENING: Mapping[str, str] = {
    "activation_fn": _PREDICT,
    "automodel_args": _VARIANT,
    "backend": _RUNTIME,
    "cache_dir": _CACHE,
    "cache_folder": _CACHE,
    "classifier_dropout": _CONFIG,
    "config_args": _CONFIG,
    "config_kwargs": _CONFIG,
    "default_activation_function": _PREDICT,
    "document_length": _CHECKPOINT,
    "keep_in_fp32_modules": _VARIANT,
    "local_files_only": "set the environment variable HF_HUB_OFFLINE to 1",
    "max_active_dims": _ENCODE,
    "model_card_data": _GRAPH,
    "model_kwargs": _VARIANT,
    "modules": _GRAPH,
    "num_labels": "the exported head has its labels: leave it out",
    "processor_kwargs": _TOKENIZER,
    "query_length": _CHECKPOINT,
    "similarity_fn_name": _SIMILARITY,
    "token": _TOKEN,
    "tokenizer_args": _TOKENIZER,
    "tokenizer_kwargs": _TOKENIZER,
    "trust_remote_code": "what serves runs no code of a checkpoint: leave it out here, embedrt export has --trust-remote-code",
    "use_auth_token": _TOKEN,
}
"""Arguments of the classes, and what to do instead."""

ENCODING: Mapping[str, str] = {
    "chunk_size": _PROCESSES,
    "convert_to_sparse_tensor": "what encode gives are rows of numpy arrays, with to_dense() and to_scipy(): leave it out",
    "convert_to_tensor": _ARRAYS,
    "device": _DEVICE,
    "pool": _PROCESSES,
    "processing_kwargs": "pass max_seq_length= where the model is opened, and set all else up where it is exported",
    "task": "encode_query and encode_document say what texts are",
}
"""Arguments of the methods, likewise."""

TOKENS: Mapping[str, str] = {
    **ENCODING,
    "output_value": "encode gives a vector a token, and no other features: leave it out",
    "token_pooling": "each token keeps its vector: merge those of encode's arrays",
}
"""Arguments of MultiVectorEncoder's methods, likewise."""

COMPARING: Mapping[str, str] = {
    "chunk_elements": "documents are compared a block at a time: leave it out",
    "device": "arrays are numpy's, and stay where they are: leave it out",
    "length_normalize": "the checkpoint says so; embedrt.multi_vector.late_interaction has maxsim and mean_maxsim",
}
"""Arguments of its similarities, likewise."""

_NOTHING: Mapping[str, tuple[str | None, ...]] = {"output_value": ("token_embeddings",)}
"""Values that ask for nothing, where they are others than None and False: there, None asks for all features."""

ATTRIBUTES: Mapping[str, str] = {
    "bfloat16": "pass variant='fp16' where the model is opened",
    "compile": _RUNTIME,
    "config": "embedrt inspect shows what an artifact says of itself",
    "cpu": _DEVICE,
    "cuda": _DEVICE,
    "default_activation_function": "a CrossEncoder's activation names it; " + _PREDICT,
    "dtype": "variant says which graph runs; vectors and scores are float32",
    "encode_multi_process": _PROCESSES,
    "eval": "a graph is always in evaluation mode: leave it out",
    "evaluate": "evaluate encode's arrays, or the checkpoint before it is exported",
    "fit": _GRAPH,
    "float": "pass variant='fp32' where the model is opened",
    "get_backend": _RUNTIME,
    "half": "pass variant='fp16' where the model is opened",
    "load_adapter": "load it into the checkpoint, and export that",
    "model": _NO_MODULES,
    "model_card_data": _GRAPH,
    "parameters": _NO_MODULES,
    "preprocess": _TOKENS,
    "processor": _TOKENS,
    "push_to_hub": _UPLOAD,
    "save": _FOLDER,
    "save_pretrained": _FOLDER,
    "save_to_hub": _UPLOAD,
    "set_pooling_include_prompt": _CHECKPOINT,
    "start_multi_process_pool": _PROCESSES,
    "state_dict": _NO_MODULES,
    "stop_multi_process_pool": _PROCESSES,
    "to": _DEVICE,
    "tokenizer": _TOKENS,
    "train": _GRAPH,
    "transformers_model": _NO_MODULES,
    "truncate_sentence_embeddings": "pass truncate_dim= to encode",
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

_ROLES = ("encode_corpus", "encode_document", "encode_queries", "encode_query", "passage_embed", "query_embed")

OF_CROSS_ENCODERS: Mapping[str, str] = dict.fromkeys(
    ("embed", "encode", "similarity", *_ROLES), "predict scores pairs of texts, rank orders documents"
)
"""What no cross-encoder has, likewise."""

OF_HYBRIDS: Mapping[str, str] = dict.fromkeys(
    _ROLES, "encode takes queries and documents alike, with prompt_name= where they differ"
)
"""What no HybridEncoder has, likewise."""

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
    told: Mapping[str, str],
    *,
    ignored: tuple[str, ...] = (),
    hands_on_to: Callable[..., Any] | None = None,
    decides: tuple[str, ...] = (),
    **renamed: str,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function that takes sentence-transformers' arguments too; what it refuses, it refuses under its own name.

    Args:
        told: arguments that it has not, and what to do instead. None and False ask for nothing, and are let pass.
        ignored: arguments that change no result here, whatever they are.
        hands_on_to: the function that gets all arguments that are not its own: ``**options``.
        decides: arguments of that function that it does not leave to the caller.
        renamed: its own names by those that they have there.
    """

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        names = _Names(function.__code__, told, ignored, renamed)
        if hands_on_to is not None:
            names.own |= _named(inspect.unwrap(hands_on_to).__code__) - set(decides)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if len(args) > len(names.placed) or not kwargs.keys() <= names.own:
                title = type(args[0]).__name__ if function.__name__ == "__init__" else function.__name__
                names.require_placed(title, len(args))
                kwargs = names.of(title, kwargs)  # type: ignore[assignment]
            return function(*args, **kwargs)

        return call

    return wrap


def _named(code: CodeType) -> frozenset[str]:
    """Arguments that may be passed by name, and ``self``."""
    return frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


class _Names:
    """The arguments that a function knows, in whatever way."""

    def __init__(
        self, code: CodeType, told: Mapping[str, str], ignored: tuple[str, ...], renamed: Mapping[str, str]
    ) -> None:
        self.own = _named(code)
        self.placed = code.co_varnames[: code.co_argcount]
        """Those that may be passed by place."""
        self._told, self._ignored, self._renamed = told, ignored, renamed

    def require_placed(self, title: str, count: int) -> None:
        """Refuse more arguments by place than there are: sentence-transformers has others there.

        Raises:
            TypeError: ``count`` of them came, with ``self``.
        """
        if count > len(self.placed):
            placed, named = " and ".join(self.placed[1:]), ", ".join(sorted(self.own - set(self.placed)))
            raise TypeError(f"{title} takes {placed} by place, and {count - 1} arguments came so: pass by name {named}")

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
            if name not in self._told:
                raise TypeError(f"{title} takes no argument {name}, but {self._known(name)}")
            if kept.pop(name) not in _NOTHING.get(name, (None, False)):
                raise TypeError(f"{title} takes no argument {name}: {self._told[name]}")
        return kept

    def _known(self, name: str) -> str:
        """All names, and which of them is most like ``name``."""
        known = sorted(self.own - {"self"})
        nearest = get_close_matches(name, known, n=1)
        return ", ".join(known) + (f"; {nearest[0]} is nearest" if nearest else "")
