"""Devices, execution providers and ONNX Runtime sessions; the only room that imports ``onnxruntime``.

Measured choices for the CPU: two of ONNX Runtime's own fusions are slower than the operators that they replace and stay off,
and weights are mapped from the file instead of copied (:mod:`embedrt.artifact.graphfile`).
"""

import os
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedrt.artifact.graph_outputs import with_outputs
from embedrt.artifact.graphfile import external_locations, graph_pointing_into, graph_without_links
from embedrt.errors import GraphError, MissingDependencyError, ProviderError
from embedrt.inference.byte_sums import byte_sum_options
from embedrt.inference.devices import (
    CPU_PROVIDER,
    CUDA_PROVIDER,
    TENSORRT_PROVIDER,
    Device,
    Providers,
    device_of,
    wanted_providers,
    why_not_loaded,
)
from embedrt.inference.failures import why_not_run
from embedrt.inference.placement import Placed, placements, strays
from embedrt.machine.cards import count_cards
from embedrt.machine.huge_pages import WorkingMemory
from embedrt.machine.threads import available_threads

try:
    import onnxruntime
except ImportError as missing:
    raise MissingDependencyError(
        'ONNX Runtime is not installed: type pip install "embedrt[cpu]" for processors, '
        'or pip install "embedrt[gpu]" for CUDA (not both, they overwrite each other)'
    ) from missing

__all__ = [
    "LOGITS",
    "POOLING_MASK",
    "QUERY_EMBEDDINGS",
    "QUERY_MAXIMA",
    "SCORES",
    "SCORING_MASK",
    "SENTENCE_EMBEDDING",
    "SPARSE_EMBEDDING",
    "TOKEN_EMBEDDINGS",
    "TOKEN_TYPE_IDS",
    "TOKEN_WEIGHTS",
    "GraphSession",
    "available_providers",
    "open_graph",
    "parse_device",
    "runtime_version",
]

INPUT_IDS, ATTENTION_MASK, POOLING_MASK, TOKEN_TYPE_IDS = (
    "input_ids",
    "attention_mask",
    "pooling_mask",
    "token_type_ids",
)
SENTENCE_EMBEDDING, TOKEN_EMBEDDINGS = "sentence_embedding", "token_embeddings"
"""(batch, dim), and (batch, sequence, hidden)"""
SPARSE_EMBEDDING, TOKEN_WEIGHTS = "sparse_embedding", "token_weights"
"""(batch, vocabulary): a weight for each term; and (batch, sequence): one for each token"""
QUERY_EMBEDDINGS, SCORING_MASK, QUERY_MAXIMA = "query_embeddings", "scoring_mask", "query_maxima"
"""Late interaction in the graph: (query tokens, dim); (batch, sequence), 1 where a token counts; (batch, query tokens)"""
SCORES, LOGITS = "scores", "logits"
"""(batch, labels): a cross-encoder's, behind its activation and before it"""
OUTPUTS = (SENTENCE_EMBEDDING, TOKEN_EMBEDDINGS, SPARSE_EMBEDDING, TOKEN_WEIGHTS, SCORES)
"""What a graph must give one of."""
_SLOW_FUSIONS = (
    "SkipLayerNormFusion;BiasGeluFusion"  # scalar code on the CPU: 1.9 ms against 0.25 ms for Add + LayerNorm
)
_SPINNING = "session.intra_op.spin_duration_us"
"""How long threads look for work before they sleep. A millisecond outlasts the gaps between operators; left alone it is some
fifty, and a text now and then costs twice the processor time (33 ms against 16 on two cores) for the same latency."""
_PLACEMENTS = "session.record_ep_graph_assignment_info"
"""Lets ONNX Runtime tell which node runs where; costs nothing that could be measured."""
_ON_CPU = Device("cpu")
_LARGEST_PROTOBUF = 2**31 - 1


def runtime_version() -> str:
    """The version of ONNX Runtime."""
    return str(onnxruntime.__version__)


def available_providers() -> list[str]:
    """The execution providers that this ONNX Runtime was built with."""
    return list(onnxruntime.get_available_providers())


def parse_device(text: str | None) -> Device:
    """``cpu``, ``cuda``, ``cuda:1`` or ``auto`` (a card where there is one and ONNX Runtime has CUDA); None: as ``auto``.

    >>> parse_device("cuda:1")
    Device(kind='cuda', index=1)
    """
    return device_of(text, available_providers(), cards=count_cards)


class GraphSession:
    """One graph, loaded and ready; safe to run from several threads."""

    def __init__(
        self,
        path: Path,
        *,
        device: Device = _ON_CPU,
        providers: Providers | None = None,
        threads: int | None = None,
        fusions: bool = False,
        profile_prefix: Path | None = None,
        outputs: Collection[str] | None = None,
    ) -> None:
        """Load ``path`` on ``device``, or on ``providers`` (ONNX Runtime's own names) where they are given.

        With ``fusions`` ONNX Runtime's two slow ones stay on. With ``outputs`` the graph has no others, and computes nothing
        that they do not need: to ask for fewer in :meth:`run` saves nothing. With ``profile_prefix``
        every operator's time is recorded until :meth:`end_profiling`.

        Raises:
            ProviderError: a provider is not in this ONNX Runtime, or did not take the graph.
            GraphError: the graph cannot be loaded, or lacks the inputs or the outputs of an encoder.
            IntegrityError: the file is truncated.
        """
        wanted = wanted_providers(device, providers, available_providers(), runtime_version())
        self.threads = threads or available_threads()
        names = [entry if isinstance(entry, str) else entry[0] for entry in wanted]
        if not {CUDA_PROVIDER, TENSORRT_PROVIDER}.isdisjoint(names):
            onnxruntime.preload_dlls()  # CUDA's libraries where they were installed as Python packages
        # on a GPU the fused operators are one kernel instead of two
        options = _options(path, self.threads, profile_prefix, fusions=fusions or names[0] != CPU_PROVIDER)
        self._memory = WorkingMemory() if names[0] == CPU_PROVIDER else None
        self._session, self.external = _load(path, options, wanted, outputs)
        self._check_providers(names)
        self.inputs = {value.name: value for value in self._session.get_inputs()}
        self.outputs = [value.name for value in self._session.get_outputs()]
        self._check_graph(path)

    @staticmethod
    def require_device(device: Device) -> None:
        """Refuse a device that this ONNX Runtime has no provider for, or a card that is not there.

        Raises:
            ProviderError: it is so.
        """
        wanted_providers(device, None, available_providers(), runtime_version())
        if device.kind == "cuda" and device.index >= (cards := count_cards()):
            raise ProviderError(f'{device.name} was asked for, but the driver shows {cards} cards: pass device="cpu"')

    @property
    def providers(self) -> list[str]:
        """The execution providers that really run the graph, most preferred first."""
        return list(self._session.get_providers())

    @property
    def placements(self) -> list[Placed]:
        """Which operators run on which provider, and how many nodes of each."""
        return placements(
            (part.ep_name, node.domain, node.op_type)
            for part in self._session.get_provider_graph_assignment_info()
            for node in part.get_nodes()
        )

    @property
    def metadata(self) -> dict[str, str]:
        """The graph's ``metadata_props``."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def dimension(self) -> int:
        """Width of the vectors that the graph states or, where it states none, gives for one token."""
        output = next(value for value in self._session.get_outputs() if value.name == SENTENCE_EMBEDDING)
        if isinstance(output.shape[-1], int):
            return output.shape[-1]
        one = np.ones((1, 1), dtype=np.int64)
        return int(self.run(one, one)[0].shape[-1])

    def run(
        self,
        input_ids: npt.NDArray[np.int64],
        attention_mask: npt.NDArray[np.int64],
        *,
        pooling_mask: npt.NDArray[np.int64] | None = None,
        token_type_ids: npt.NDArray[np.int64] | None = None,
        extra: Mapping[str, npt.NDArray[Any]] | None = None,
        outputs: Sequence[str] = (SENTENCE_EMBEDDING,),
    ) -> list[npt.NDArray[np.float32]]:
        """The named outputs for one batch; all inputs int64 (batch, sequence).

        What the graph does not take is left out. Where it asks for ``token_type_ids`` and none are given, they are 0. ``extra``:
        further inputs by name; a graph with late interaction inside reads a query of one zero vector where none is given.
        """
        feed: dict[str, npt.NDArray[Any]] = {INPUT_IDS: input_ids, ATTENTION_MASK: attention_mask}
        if POOLING_MASK in self.inputs:
            feed[POOLING_MASK] = attention_mask if pooling_mask is None else pooling_mask
        if TOKEN_TYPE_IDS in self.inputs:
            feed[TOKEN_TYPE_IDS] = np.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        if QUERY_EMBEDDINGS in self.inputs:
            nothing = np.zeros((1, self.inputs[QUERY_EMBEDDINGS].shape[1]), np.float32)
            feed |= {QUERY_EMBEDDINGS: nothing, SCORING_MASK: attention_mask}
        feed |= extra or {}
        began = time.perf_counter()
        try:
            results: list[npt.NDArray[np.float32]] = self._session.run(list(outputs), feed)
        except Exception as error:
            raise GraphError(why_not_run(input_ids, str(error))) from error
        if self._memory is not None:
            self._memory.worked(time.perf_counter() - began)
        return results

    def settle(self) -> None:
        """Give the session's memory now the form that it would have after seconds of work, for who measures."""
        if self._memory is not None:
            self._memory.settle()

    def end_profiling(self) -> Path:
        """Write the recorded times and give the file: JSON in Chrome's trace format."""
        return Path(self._session.end_profiling())

    def _check_providers(self, names: list[str]) -> None:
        if lost := [name for name in names if name not in self.providers]:
            raise ProviderError(
                f"{', '.join(lost)} was asked for, but ONNX Runtime fell back to {', '.join(self.providers)}: "
                f"{why_not_loaded(lost[0], cards=count_cards)}"
            )
        if CPU_PROVIDER not in names and (fallen := strays(self.placements, names[0])):
            listed = ", ".join(f"{one.count} {one.operator}" for one in fallen)
            raise ProviderError(
                f"{', '.join(names)} was asked for, but has no kernels for {listed} of this graph, which would run on the CPU. "
                f"Take another variant (fp16), or pass providers={[*names, CPU_PROVIDER]} if that is meant"
            )

    def _check_graph(self, path: Path) -> None:
        known = {INPUT_IDS, ATTENTION_MASK, POOLING_MASK, TOKEN_TYPE_IDS, QUERY_EMBEDDINGS, SCORING_MASK}
        if not {INPUT_IDS, ATTENTION_MASK} <= self.inputs.keys() or self.inputs.keys() - known:
            raise GraphError(
                f"{path} takes {', '.join(self.inputs)}; a sentence encoder takes {INPUT_IDS} and {ATTENTION_MASK}. "
                "Is it another kind of model? Export the checkpoint with: embedrt export MODEL OUT"
            )
        if not set(OUTPUTS) & set(self.outputs):
            raise GraphError(
                f"{path} gives {', '.join(self.outputs)} and no {SENTENCE_EMBEDDING}: pooling is not in this graph. "
                "Export the checkpoint with: embedrt export MODEL OUT"
            )


def open_graph(path: Path, *, threads: int | None = None) -> Any:
    """ONNX Runtime's own session on the CPU, with the choices of this room, for a graph that is no sentence encoder yet.

    Raises:
        GraphError: the graph cannot be loaded.
        IntegrityError: the file is truncated.
    """
    return _load(path, _options(path, threads or available_threads(), None, fusions=False), [CPU_PROVIDER])[0]


def _options(path: Path, threads: int, profile_prefix: Path | None, *, fusions: bool) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; everything below reaches the caller as an exception or is of no use to him
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile_prefix)
    if not fusions:
        options.add_session_config_entry("optimization.disable_specified_optimizers", _SLOW_FUSIONS)
    for key, value in byte_sum_options(path, runtime_version()).items():
        options.add_session_config_entry(key, value)
    options.add_session_config_entry(_SPINNING, "1000")
    options.add_session_config_entry(_PLACEMENTS, "1")
    return options


def _load(
    path: Path, options: Any, providers: list[Any], outputs: Collection[str] | None = None
) -> tuple[Any, tuple[str, ...]]:
    """The session, and the files that hold weights beside the graph's own, by their paths from its folder."""
    mapped = graph_pointing_into(path) if path.stat().st_size <= _LARGEST_PROTOBUF else None
    external = external_locations(path) if mapped is None else ()
    if outputs is not None:
        mapped = with_outputs(graph_without_links(path) if mapped is None else mapped, outputs)
    if mapped is not None:  # the folder that holds the bytes: in the Hub's cache each file is a link to another one
        folder = os.fsencode(path.resolve().parent)  # bytes: the name of a folder need not be Unicode
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    try:
        session = onnxruntime.InferenceSession(str(path) if mapped is None else mapped, options, providers=providers)
    except Exception as error:
        raise GraphError(f"ONNX Runtime {onnxruntime.__version__} cannot load {path}: {error}") from error
    return session, external
