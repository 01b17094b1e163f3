"""Stage 1: a checkpoint, as a folder or Hub id, to a loaded model and the facts that a runtime needs of it.

sentence-transformers loads it, because its own answer is the reference for everything (maximum length, prompts, module
order); optimum says beforehand which library the checkpoint belongs to.
"""

import importlib.metadata
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embedrt_export.checkpoint import Checkpoint
from embedrt_export.source.diagnosis import diagnosis, first_line
from embedrt_export.source.kind_of import kind_of
from embedrt_export.source.place import folder_of
from embedrt_export.source.plain import load_plain
from embedrt_export.source.pooling_modes import POOLING_MODES, require_modes
from embedrt_export.source.routes import on_route, static_queries
from embedrt_export.source.settings import asked_length, require_settings
from embedrt_export.source.soundness import require_sound
from embedrt_export.source.weights import require_weights, watched_loading
from embedrt_export.static.folder import MODEL2VEC, is_model2vec, load_model2vec
from optimum.exporters.tasks import TasksManager
from safetensors import SafetensorError
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.sentence_transformer.modules import BoW, StaticEmbedding, WordEmbeddings
from transformers.utils import logging as transformers_logging

from embedrt.artifact.hub_files import CONFIG_FILE, MODULES_FILE
from embedrt.artifact.manifest import MANIFEST_FILE, Serving, Source
from embedrt.errors import CheckpointError

__all__ = ["POOLING_MODES", "load_checkpoint"]

_LIBRARIES = (
    "torch",
    "transformers",
    "sentence-transformers",
    "optimum",
    "onnxscript",
    "onnx-ir",
    "onnxruntime",
    "tokenizers",
)
_CLASSES = {"cross-encoder": CrossEncoder, "sparse": SparseEncoder, "multi-vector": MultiVectorEncoder}
"""What loads the kinds beyond dense ones."""
_MARKS = (MODULES_FILE, CONFIG_FILE)  # one of them is in every checkpoint


def load_checkpoint(
    model: str,
    *,
    revision: str | None = None,
    kind: str | None = None,
    pooling: Sequence[str] | None = None,
    route: str | None = None,
    served: Serving | None = None,
    max_seq_length: int | None = None,
    trust_remote_code: bool = False,
) -> Checkpoint:
    """Load ``model``, a local folder or a Hub id.

    Args:
        model: a sentence-transformers checkpoint, or a plain transformers one together with ``pooling``.
        revision: branch, tag or commit of a Hub repository.
        kind: ``dense``, ``sparse``, ``cross-encoder`` or ``multi-vector``; None: what its files say.
        pooling: modes for a plain transformers checkpoint, concatenated in this order.
        route: which one, where a Router sends queries and documents through modules of their own.
        served: what an artifact of it says, for a plain transformers checkpoint: how its vectors are pooled and normalized.
        max_seq_length: where texts will be cut, if not where the checkpoint says.
        trust_remote_code: run Python code that the checkpoint brings along.

    Raises:
        CheckpointError: it is no such checkpoint, or one that cannot be loaded; the message says what to type.
        InputError: ``pooling`` has an unknown mode.
    """
    require_modes(pooling or ())
    folder, name, commit = folder_of(model, revision)
    if _is_artifact(folder):
        raise CheckpointError(
            f"{model} is no checkpoint but an artifact, exported already (it has {MANIFEST_FILE}): open it as it is, "
            "add variants with embedrt quantize, or pass the checkpoint that it was made of"
        )
    if not any((folder / name).is_file() for name in _MARKS):
        if (folder / "adapter_config.json").is_file():
            raise CheckpointError(
                f"{model} is an adapter without the model that it belongs to: load both with peft, merge them "
                "(merge_and_unload), save the result, and export that"
            )
        raise CheckpointError(f"{model} has neither {' nor '.join(_MARKS)}: pass the folder of a checkpoint")
    kind = kind or ("dense" if pooling is not None else kind_of(folder))
    try:
        require_settings(folder)
        asked_length(folder)
        library = _library_of(folder)
        with _quietly(), watched_loading() as reports:
            loaded = _load(folder, library, kind, pooling, served, trust_remote_code=trust_remote_code)
    except (
        OSError,
        ValueError,
        LookupError,
        RuntimeError,
        ImportError,
        TypeError,
        AttributeError,
        SafetensorError,
    ) as error:
        reason = diagnosis(folder, error)
        expected = "a folder with config.json, weights and tokenizer files"
        raise CheckpointError(
            reason or f"{model} cannot be loaded: {first_line(error)}. Expected {expected}"
        ) from error
    require_weights(reports, kind)
    whole = loaded if route is None and static_queries(loaded) is not None else None
    loaded = on_route(loaded, route)
    kind = _kind_by_first_module(kind, loaded)
    loaded.prompts = {name: "" if text is None else text for name, text in loaded.prompts.items()}
    loaded.eval().float().requires_grad_(requires_grad=False)
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    source = Source(model=name, revision=commit, route=route, libraries=libraries)
    checkpoint = Checkpoint(model=loaded, whole=whole, kind=kind, source=source, folder=folder)
    require_sound(checkpoint, max_seq_length=max_seq_length)
    _keep_within_positions(checkpoint)
    _name_outputs(checkpoint)
    return checkpoint


def _keep_within_positions(checkpoint: Checkpoint) -> None:
    """Where no file names a length, sentence-transformers takes all of RoBERTa's positions, those that no token has too."""
    if checkpoint.cuts_alike and checkpoint.positions is not None:
        checkpoint.model.max_seq_length = checkpoint.max_seq_length


def _name_outputs(checkpoint: Checkpoint) -> None:
    """sentence-transformers asks for outputs by their names in each call, whatever ``return_dict`` of config.json says."""
    if checkpoint.transformer is not None:
        checkpoint.transformer.config.return_dict = True


def _is_artifact(folder: Path) -> bool:
    """Whether it is one alone: repositories may have a checkpoint beside it, with modules.json or weights."""
    checkpoints = (MODULES_FILE, "*.safetensors", "*.bin")
    return (folder / MANIFEST_FILE).is_file() and not any(any(folder.glob(name)) for name in checkpoints)


_FIRST_MODULES = {"static": (StaticEmbedding,), "words": (WordEmbeddings, BoW)}
"""Kinds of dense encoders without a transformer, by the module that they begin with."""


def _kind_by_first_module(kind: str, loaded: Any) -> str:
    """``kind``, or which kind of a dense encoder it is."""
    found = next((name for name, modules in _FIRST_MODULES.items() if isinstance(loaded[0], modules)), "dense")
    if kind in _FIRST_MODULES and found != kind:
        begins = type(loaded[0]).__name__
        raise CheckpointError(
            f"the checkpoint begins with a {begins}, so it is {found}, not {kind}: leave out --kind {kind}"
        )
    return found if kind == "dense" else kind


def _library_of(folder: Path) -> str:
    """Which library saved the checkpoint; the oldest ones of sentence-transformers have nothing but modules.json at the root."""
    if is_model2vec(folder):
        return MODEL2VEC
    if (folder / MODULES_FILE).is_file():
        return "sentence_transformers"
    library: str = TasksManager.infer_library_from_model(str(folder))
    return library


def _load(
    folder: Path,
    library: str,
    kind: str,
    pooling: Sequence[str] | None,
    served: Serving | None,
    *,
    trust_remote_code: bool,
) -> Any:
    if kind in _CLASSES:
        if pooling is not None:
            raise CheckpointError(
                f"pooling is for dense encoders, and {folder} is exported as {kind}: leave out --pooling"
            )
        return _CLASSES[kind](str(folder), device="cpu", trust_remote_code=trust_remote_code)
    model, options = str(folder), {"trust_remote_code": trust_remote_code}
    if library in ("sentence_transformers", MODEL2VEC):
        if pooling is not None:
            raise CheckpointError(f"{model} names its own pooling: leave out --pooling")
        return load_model2vec(folder) if library == MODEL2VEC else SentenceTransformer(model, device="cpu", **options)
    if library != "transformers":
        raise CheckpointError(
            f"{model} is a {library} checkpoint, expected one of sentence-transformers or transformers"
        )
    return load_plain(folder, pooling, served, trust_remote_code=trust_remote_code)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without progress bars, for the exporter has its own lines; nor advice to take float32, which is what comes of it here."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    logger = logging.getLogger("sentence_transformers.base.model")
    logger.addFilter(_is_no_advice)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_advice)
        if shown:
            transformers_logging.enable_progress_bar()


def _is_no_advice(record: logging.LogRecord) -> bool:
    return "inference may be significantly slower" not in record.getMessage()
