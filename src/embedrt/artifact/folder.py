"""The artifact folder, the only contract between the exporter and the runtime: find it, read it, check it.

Three things can be loaded: a folder with a manifest (its hashes are checked), a folder in the Hub's layout whose graph
gives ``sentence_embedding``, and a single .onnx file beside a tokenizer.json. Each becomes one :class:`Artifact`.
"""

import hashlib
import mmap
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from embedrt.artifact.graphfile import external_locations, require_fetched
from embedrt.artifact.hub import download_file, is_hub_id
from embedrt.artifact.hub_files import SIDE_FILES
from embedrt.artifact.manifest import MANIFEST_FILE, Manifest
from embedrt.errors import ArtifactNotFoundError, InputError, IntegrityError, ManifestError
from embedrt.text.tokenizer import TextTokenizer

__all__ = [
    "TOKENIZER_FILE",
    "WORDS_FILE",
    "Artifact",
    "check_files",
    "hashes_beside_graph",
    "locate",
    "open_tokenizer",
    "require_checked",
    "tokenizer_in",
]

TOKENIZER_FILE, WORDS_FILE = "tokenizer.json", "words.json"
_GRAPH_CANDIDATES = ("onnx/model.onnx", "model.onnx")
_WINDOW = 1 << 22
"""Bytes of a file that are hashed at once. Smaller ones wait for Python's lock too often, larger ones count as memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What is to be loaded, with every path settled."""

    folder: Path
    graph: Path
    tokenizer: Path
    manifest: Manifest | None
    """None for folders of other makers and for single .onnx files."""
    variant: str | None

    @property
    def graph_sha256(self) -> str | None:
        """What the manifest says of the graph's file; None where there is no manifest."""
        if self.manifest is None or self.variant is None:
            return None
        return self.manifest.files[self.manifest.variants[self.variant].file].sha256


def locate(model: str | Path, *, variant: str | None = None, revision: str | None = None) -> Artifact:
    """Find ``model``: an artifact folder, an .onnx file, or the id of a Hub repository.

    Raises:
        ArtifactNotFoundError: there is no such thing.
        ManifestError: its manifest is not of this format.
        InputError: it has no such variant.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return _folder(path, variant)
    if path.is_file():
        return _single_file(path, variant)
    name = str(model)
    if isinstance(model, Path) or not is_hub_id(name):
        raise ArtifactNotFoundError(
            f"there is no folder or .onnx file at {name}: pass the folder that embedrt export wrote, or a Hub id"
        )
    return _hub_repository(name, variant, revision)


def _folder(folder: Path, variant: str | None) -> Artifact:
    if (folder / MANIFEST_FILE).is_file():
        return _described(folder, _read_manifest(folder), variant)
    if variant is not None:
        raise InputError(f"variant {variant!r} was asked for, but {folder} has no {MANIFEST_FILE} that names variants")
    for candidate in _GRAPH_CANDIDATES:
        if (folder / candidate).is_file():
            graph = folder / candidate
            return Artifact(folder=folder, graph=graph, tokenizer=tokenizer_in(folder), manifest=None, variant=None)
    raise ArtifactNotFoundError(
        f"{folder} has neither {MANIFEST_FILE} nor {' nor '.join(_GRAPH_CANDIDATES)}. "
        f"If it is a PyTorch checkpoint, type: embedrt export {folder} OUT, and load OUT"
    )


def _read_manifest(folder: Path) -> Manifest:
    try:
        return Manifest.from_json((folder / MANIFEST_FILE).read_bytes())
    except ManifestError as error:
        raise ManifestError(f"in {folder}: {error}") from error


def _described(folder: Path, manifest: Manifest, variant: str | None) -> Artifact:
    chosen = manifest.default_variant if variant is None else variant
    if chosen not in manifest.variants:
        raise InputError(f"variant {chosen!r} was asked for, but the artifact has {', '.join(manifest.variants)}")
    graph = folder / manifest.variants[chosen].file
    tokenizer = next((file for file in (WORDS_FILE, TOKENIZER_FILE) if file in manifest.files), None)
    if tokenizer is None:
        raise ManifestError(
            f"in {folder}: `files` lists neither {WORDS_FILE} nor {TOKENIZER_FILE}: export the checkpoint again"
        )
    return Artifact(folder=folder, graph=graph, tokenizer=folder / tokenizer, manifest=manifest, variant=chosen)


def _single_file(graph: Path, variant: str | None) -> Artifact:
    """A graph alone: its tokenizer lies beside it, or one folder up as on the Hub."""
    if graph.suffix.lower() != ".onnx":
        raise ArtifactNotFoundError(
            f"{graph} is a file whose name does not end in .onnx: pass the folder that embedrt export wrote, an .onnx file, or "
            f"a Hub id"
        )
    if variant is not None:
        raise InputError(f"variant {variant!r} was asked for, but {graph} is a single graph: pass the artifact folder")
    folders = (graph.parent, graph.parent.parent)
    folder = next((folder for folder in folders if tokenizer_in(folder).is_file()), graph.parent)
    return Artifact(folder=folder, graph=graph, tokenizer=tokenizer_in(folder), manifest=None, variant=None)


def tokenizer_in(folder: Path) -> Path:
    """Words where the folder has some, else where tokenizer.json is or ought to be."""
    words = folder / WORDS_FILE
    return words if words.is_file() else folder / TOKENIZER_FILE


def open_tokenizer(path: Path, *, max_seq_length: int | None = None) -> TextTokenizer:
    """The tokenizer of a file, by its name: words.json, or a tokenizer.json."""
    if path.name != WORDS_FILE:
        return TextTokenizer(path, max_seq_length=max_seq_length)
    from embedrt.text.words import WordTokenizer  # few models have words, and all would wait for what cuts them

    return WordTokenizer(path, max_seq_length=max_seq_length)


def _hub_repository(name: str, variant: str | None, revision: str | None) -> Artifact:
    described = download_file(name, MANIFEST_FILE, revision=revision, required=False)
    if described is None:
        return _folder(_undescribed_repository(name, revision), variant)
    artifact = _described(described.parent, _read_manifest(described.parent), variant)
    for path in _needed_files(artifact):
        download_file(name, path, revision=revision, required=True)
    return artifact


def _undescribed_repository(name: str, revision: str | None) -> Path:
    """The folder of a repository without a manifest: graph, files of its weights, tokenizer and settings."""
    found = (download_file(name, candidate, revision=revision, required=False) for candidate in _GRAPH_CANDIDATES)
    graph = next(filter(None, found), None)
    graph = graph or download_file(name, _GRAPH_CANDIDATES[0], revision=revision, required=True)
    tokenizer = download_file(name, TOKENIZER_FILE, revision=revision, required=True)
    assert graph is not None and tokenizer is not None  # noqa: S101, PT018  required=True never gives None
    folder = tokenizer.parent
    for location in external_locations(graph):
        weights = (graph.parent / location).relative_to(folder)
        download_file(name, weights.as_posix(), revision=revision, required=True)
    for side_file in SIDE_FILES:
        download_file(name, side_file, revision=revision, required=False)
    return folder


def _needed_files(artifact: Artifact) -> list[str]:
    """Paths, relative to the folder, that serving this variant reads: tokenizer, graph, its external data, weights of queries."""
    if artifact.manifest is None or artifact.variant is None:
        return []
    graph, sparse = artifact.manifest.variants[artifact.variant].file, artifact.manifest.serving.sparse
    read = {TOKENIZER_FILE, WORDS_FILE, graph, sparse.query_weights if sparse is not None else None}
    return [path for path in artifact.manifest.files if path in read or path.startswith(f"{graph}_data")]


def check_files(artifact: Artifact) -> None:
    """Compare size and SHA-256 of the files that serving reads with the manifest; nothing to do where there is none.

    Raises:
        IntegrityError: a file is missing, truncated or another one.
    """
    for path in _needed_files(artifact):
        assert artifact.manifest is not None  # noqa: S101  _needed_files gave something
        _check_file(artifact.folder / path, artifact.manifest.files[path].bytes, artifact.manifest.files[path].sha256)


def require_checked(artifact: Artifact, external: Collection[str]) -> None:
    """Refuse weights in files, by their paths from the graph's folder, that :func:`check_files` has not looked at.

    Raises:
        IntegrityError: there are some.
    """
    if artifact.manifest is None:
        return
    checked = {artifact.folder / path for path in _needed_files(artifact)}
    for path in external:
        if artifact.graph.parent / path not in checked:
            raise IntegrityError(
                f"{artifact.graph} keeps weights in {path!r}, expected a file that the manifest lists and that is called "
                f"{artifact.graph.name}_data: export the checkpoint again"
            )


def _check_file(path: Path, size: int, sha256: str) -> None:
    advice = "Copy the artifact again, or export it again"
    if not path.is_file():
        raise IntegrityError(f"{path} is missing, the manifest names it. {advice}")
    if path.stat().st_size != size:
        require_fetched(path)
        raise IntegrityError(f"{path} has {path.stat().st_size} bytes, the manifest names {size}. {advice}")
    found = sha256_of(path)
    if found != sha256:
        raise IntegrityError(
            f"{path} has SHA-256 {found[:12]}…, the manifest names {sha256[:12]}…: the file was changed. {advice}"
        )


def hashes_beside_graph(artifact: Artifact) -> dict[str, str]:
    """SHA-256 of each file but the graph's that serving reads, by its name: from the manifest, else of the files.

    Raises:
        IntegrityError: the graph's file is damaged.
    """
    if artifact.manifest is not None:
        read = [path for path in _needed_files(artifact) if artifact.folder / path != artifact.graph]
        return {path: artifact.manifest.files[path].sha256 for path in read}
    beside = [artifact.tokenizer, *(artifact.graph.parent / name for name in external_locations(artifact.graph))]
    return {path.name: sha256_of(path) for path in beside if path.is_file()}


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal, which is mapped a window at a time; other threads go on meanwhile."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for begin in range(0, size, _WINDOW):
            length = min(_WINDOW, size - begin)
            with mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=begin) as window:
                digest.update(window)
    return digest.hexdigest()
