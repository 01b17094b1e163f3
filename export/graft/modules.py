"""modules.json and the folders that it names, as a chain. Everything that cannot be taken is named with its file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedrt_export.graft.activations import ACTIVATIONS
from embedrt_export.graft.chain import Chain, Dense, LayerNorm, Module, Normalize, Truncate
from embedrt_export.graft.reading import read_json, read_object, required
from embedrt_export.graft.weights import read_weights
from embedrt_export.source.pooling_modes import OLD_FLAGS, POOLING_MODES, require_modes

from embedrt.artifact.hub_files import CONFIG_FILE, MODULES_FILE, SETTINGS_FILE
from embedrt.errors import CheckpointError

__all__ = ["Modules", "plain_modules", "read_modules"]

_WIDTHS = ("hidden_size", "dim", "d_model")  # architectures' names for that of token vectors
_LIBRARY = "sentence_transformers"
_TAKEN = (
    "Transformer, then any of Dense and Normalize on tokens, Pooling, any of Dense, LayerNorm, Normalize and Dropout"
)
_TOKENS, _VECTORS = "token_embeddings", "sentence_embedding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Modules:
    """What a folder says of its modules."""

    transformer: Path
    """Where the transformer's and the tokenizer's files are."""
    chain: Chain | None
    """None where nothing says how to pool."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of modules.json."""

    kind: str
    folder: Path

    @property
    def config_path(self) -> Path:
        return self.folder / CONFIG_FILE


def plain_modules(folder: Path, *, pooling: Sequence[str] | None, normalize: bool) -> Modules:
    """For a folder without modules.json: what the caller says.

    Raises:
        InputError: a mode is unknown.
    """
    if pooling is None:
        return Modules(transformer=folder, chain=None)
    require_modes(pooling)
    config = read_object(folder / CONFIG_FILE)
    width_key = next((key for key in _WIDTHS if isinstance(config.get(key), int)), None)
    chain = Chain(
        pooling=tuple(pooling),
        pooled_width=None if width_key is None else config[width_key],
        pooled_said_by=f"{folder / CONFIG_FILE} {width_key}",
        finish=(Normalize(),) if normalize else (),
    )
    return Modules(transformer=folder, chain=chain)


def read_modules(folder: Path) -> Modules:
    """What modules.json of ``folder`` names, with all weights.

    Raises:
        CheckpointError: naming the file and the key of what is unknown, missing, or of the wrong shape.
    """
    path = folder / MODULES_FILE
    entries = _entries(path)
    kinds = [entry.kind for entry in entries]
    if not kinds or kinds[0] != "Transformer" or kinds.count("Pooling") != 1 or kinds.count("Transformer") != 1:
        raise CheckpointError(f"{path} lists {', '.join(kinds) or 'nothing'}; graft takes {_TAKEN}")
    at = kinds.index("Pooling")
    pooling = entries[at]
    config = read_object(pooling.config_path)
    width_key = "embedding_dimension" if "embedding_dimension" in config else "word_embedding_dimension"
    chain = Chain(
        on_tokens=tuple(_on_tokens(entry, path) for entry in entries[1:at]),
        pooling=_modes(config, pooling.config_path),
        include_prompt=config.get("include_prompt") is not False,
        pooled_width=required(config, width_key, int, pooling.config_path),
        pooled_said_by=f"{pooling.config_path} {width_key}",
        finish=(*[_finishing(entry, path) for entry in entries[at + 1 :] if entry.kind != "Dropout"], *_cut(folder)),
    )
    return Modules(transformer=entries[0].folder, chain=chain)


def _entries(path: Path) -> list[_Entry]:
    listed = read_json(path)
    if not isinstance(listed, list):
        raise CheckpointError(f"{path} holds a {type(listed).__name__}, expected a list of modules")
    return [_entry(item, path) for item in listed]


def _entry(item: Any, path: Path) -> _Entry:
    if not isinstance(item, dict):
        raise CheckpointError(f"{path} lists {item!r}, expected an object with type and path")
    kind, place = str(required(item, "type", str, path)), str(required(item, "path", str, path))
    if not kind.startswith(f"{_LIBRARY}."):
        raise CheckpointError(f"{path} lists the class {kind}, which is none of {_LIBRARY}; graft takes {_TAKEN}")
    if Path(place).is_absolute() or ".." in Path(place).parts:
        raise CheckpointError(
            f"{path} has path {place!r}, which lies outside of the checkpoint: expected a folder within"
        )
    return _Entry(kind.rpartition(".")[2], path.parent / place)


def _modes(config: dict[str, Any], path: Path) -> tuple[str, ...]:
    """The modes, in the words of any version: ``pooling_mode``, or a flag for each; mean where all flags are off."""
    if "pooling_mode" not in config:
        return tuple(mode for flag, mode in OLD_FLAGS.items() if config.get(flag)) or ("mean",)
    given = config["pooling_mode"]
    modes = tuple(given) if isinstance(given, list) else (given,)
    if unknown := [mode for mode in modes if mode not in POOLING_MODES]:
        raise CheckpointError(f"{path} pooling_mode is {unknown[0]!r}, expected some of {', '.join(POOLING_MODES)}")
    return modes


def _on_tokens(entry: _Entry, path: Path) -> Dense | Normalize:
    module = _module(entry, path, _TOKENS) if entry.kind in ("Dense", "Normalize") else None
    if not isinstance(module, Dense | Normalize):
        raise CheckpointError(
            f"{path} lists a {entry.kind} before Pooling; graft takes Dense and Normalize on tokens there"
        )
    return module


def _finishing(entry: _Entry, path: Path) -> Module:
    return _module(entry, path, _VECTORS)


def _module(entry: _Entry, path: Path, name: str) -> Module:
    """The module, which must read and write what is called ``name``."""
    config = read_object(entry.config_path)
    if entry.kind in ("Dense", "Normalize"):
        _require_place(config, entry.config_path, name)
    if entry.kind == "Dense":
        return _dense(entry, config)
    if entry.kind == "LayerNorm":
        width = required(config, "dimension", int, entry.config_path)
        said_by = f"{entry.config_path} dimension"
        weights = read_weights(entry.folder, {"norm.weight": (width,), "norm.bias": (width,)}, said_by=said_by)
        return LayerNorm(reads=said_by, weight=weights["norm.weight"], bias=weights["norm.bias"])
    if entry.kind == "Normalize":
        return Normalize()
    raise CheckpointError(f"{path} lists a {entry.kind}; graft takes {_TAKEN}")


def _require_place(config: dict[str, Any], path: Path, name: str) -> None:
    reads = config.get("module_input_name") or _VECTORS
    writes = config.get("module_output_name") or reads
    if (reads, writes) != (name, name):
        raise CheckpointError(
            f"{path} has module_input_name {reads!r} and module_output_name {writes!r}, expected {name} for both where it stands"
        )


def _dense(entry: _Entry, config: dict[str, Any]) -> Dense:
    path = entry.config_path
    inputs, outputs = (int(required(config, key, int, path)) for key in ("in_features", "out_features"))
    activation, residual = _activation(config, path), bool(config.get("use_residual"))
    wanted: dict[str, tuple[int, ...]] = {"linear.weight": (outputs, inputs)}
    if config.get("bias", True):
        wanted["linear.bias"] = (outputs,)
    if residual and inputs != outputs:
        wanted["residual.weight"] = (outputs, inputs)
    if activation == "PReLU":
        wanted["activation_function.weight"] = (1,)
    weights = read_weights(entry.folder, wanted, said_by=f"{path} in_features, out_features, bias and use_residual")
    shortcut = weights.get("residual.weight")
    return Dense(
        reads=f"{path} in_features",
        weight=weights["linear.weight"].T.copy(),
        bias=weights.get("linear.bias"),
        activation=activation,
        slope=weights.get("activation_function.weight"),
        residual=residual,
        shortcut=None if shortcut is None else shortcut.T.copy(),
    )


def _activation(config: dict[str, Any], path: Path) -> str:
    name = str(
        config.get("activation_function") or "torch.nn.Tanh"
    )  # what sentence-transformers takes where none is named
    kind = name.rpartition(".")[2]
    if not name.startswith("torch.") or kind not in ACTIVATIONS:
        raise CheckpointError(
            f"{path} has activation_function {name!r}; graft takes torch.nn's {', '.join(ACTIVATIONS)}. "
            "With PyTorch, embedrt export takes any"
        )
    return kind


def _cut(folder: Path) -> tuple[Truncate, ...]:
    """The width that sentence-transformers cuts vectors to, where the checkpoint was saved with one."""
    path = folder / SETTINGS_FILE
    config = read_object(path)
    if config.get("truncate_dim") is None:
        return ()
    width = int(required(config, "truncate_dim", int, path))
    if width < 1:
        raise CheckpointError(f"{path} has truncate_dim {width}, expected at least 1")
    return (Truncate(width),)
