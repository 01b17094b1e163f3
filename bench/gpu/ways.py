"""Ways of handing a batch to a card and getting its vectors back, in turns: which of ONNX Runtime's options are worth having.

``run`` is what the runtime does. ``on the card`` leaves everything there, which no user can do, and so is the most that better
copies could gain. A way that is not to be had here, or gives other vectors than ``run``, is listed with the reason.

ONNX Runtime copies an input to the card when it is bound, not when it runs: whatever is not bound anew must lie on the card
already, or a batch is run twice. So vectors are compared once more after the batch has changed.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from embedrt_bench.gpu.graph_on_card import Card, Feed
from embedrt_export.source.diagnosis import first_line
from tqdm import tqdm

from embedrt.inference.devices import Device
from embedrt.inference.session import SENTENCE_EMBEDDING

__all__ = ["SHAPES", "WAYS", "Vectors", "lines_of_ways", "measure_ways"]

SHAPES = ((1, 16), (1, 128), (128, 128), (1024, 16))
"""(batch, sequence): single texts, and batches of 16384 tokens."""
_ROUNDS = 5
_CLOSE = 0.01
"""Largest difference to ``run`` of a number of unit vectors, before a time counts."""
Vectors = npt.NDArray[np.float32]
Way = Callable[[Card, Feed], Callable[[], Vectors]]
"""Prepares for batches of one shape; what it gives runs what the feed holds, waits, and hands the vectors (batch, dim) back."""
_FIXED = ("on the card",)
"""Ways that run the first batch again, whatever the feed holds."""


def _run(card: Card, feed: Feed) -> Callable[[], Vectors]:
    session = card.session()
    return lambda: _first(session.run([SENTENCE_EMBEDDING], feed))


def _bound(card: Card, feed: Feed) -> Callable[[], Vectors]:
    binding, run = _binding(card.session())
    binding.bind_output(SENTENCE_EMBEDDING)

    def call() -> Vectors:
        for name, array in feed.items():
            binding.bind_cpu_input(name, array)
        run()
        return _first(binding.copy_outputs_to_cpu())

    return call


def _page_locked(card: Card, feed: Feed) -> Callable[[], Vectors]:
    card.require_a_card()
    session, locked = card.session(), {name: card.page_locked(array) for name, array in feed.items()}

    def call() -> Vectors:
        for name, array in feed.items():
            locked[name].memory[...] = array
        return _first(session.run([SENTENCE_EMBEDDING], {name: one.memory for name, one in locked.items()}))

    return call


def _bound_page_locked(card: Card, feed: Feed) -> Callable[[], Vectors]:
    card.require_a_card()
    session = card.session()
    binding, run = _binding(session)
    locked = {name: card.page_locked(array) for name, array in feed.items()}
    output = card.page_locked(_first(session.run([SENTENCE_EMBEDDING], feed)))
    binding.bind_ortvalue_output(SENTENCE_EMBEDDING, output.value)

    def call() -> Vectors:
        for name, array in feed.items():
            locked[name].memory[...] = array
            binding.bind_ortvalue_input(name, locked[name].value)
        run()
        return np.array(output.memory)

    return call


def _on_the_card(card: Card, feed: Feed) -> Callable[[], Vectors]:
    card.require_a_card()
    binding, run = _binding(card.session())
    for name, array in feed.items():
        binding.bind_ortvalue_input(name, card.on_it(array))
    binding.bind_output(SENTENCE_EMBEDDING, card.device.kind, card.device.index)
    run()
    vectors = _first(binding.copy_outputs_to_cpu())

    def call() -> Vectors:
        run()
        return vectors

    return call


def _cuda_graph(card: Card, feed: Feed) -> Callable[[], Vectors]:
    card.require_a_card()
    session = card.session(next(iter(feed.values())).shape, enable_cuda_graph="1")
    binding, run = _binding(session)
    inputs = {name: card.on_it(array) for name, array in feed.items()}
    output = card.on_it(_first(card.session().run([SENTENCE_EMBEDDING], feed)))
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, value)
    binding.bind_ortvalue_output(SENTENCE_EMBEDDING, output)

    def call() -> Vectors:
        for name, array in feed.items():
            inputs[name].update_inplace(array)
        run()
        return np.array(output.numpy())

    return call


def _tensorrt(card: Card, feed: Feed) -> Callable[[], Vectors]:
    session = card.tensorrt_session()
    return lambda: _first(session.run([SENTENCE_EMBEDDING], feed))


WAYS: Mapping[str, Way] = {
    "run": _run,
    "bound": _bound,
    "page-locked": _page_locked,
    "bound, page-locked": _bound_page_locked,
    "on the card": _on_the_card,
    "CUDA graph": _cuda_graph,
    "TensorRT": _tensorrt,
}


def measure_ways(
    graph: Path, device: Device, cache: Path, *, shapes: Sequence[tuple[int, int]] = SHAPES, seconds: float = 0.3
) -> dict[str, dict[str, dict[str, Any]]]:
    """By shape and way: milliseconds until the first vectors, its session included, ``p50``, the largest difference to ``run``.

    Or the ``reason`` why there is no ``p50``.
    """
    card, found = Card(graph, device, cache), {}
    for shape in tqdm(shapes, desc="ways", unit="shape", disable=None, leave=False):
        found[f"{shape[0]} x {shape[1]}"] = _of_one_shape(card, shape, seconds)
    return found


def _of_one_shape(card: Card, shape: tuple[int, int], seconds: float) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {name: {} for name in WAYS}
    calls, given = _prepared(card, shape, found)
    for name, vectors in given.items():
        if "reason" not in found[name]:
            found[name] |= _compared(vectors, given["run"])
    times = _in_turns({name: call for name, call in calls.items() if "reason" not in found[name]}, seconds, found)
    for name, taken in times.items():
        if "reason" not in found[name]:
            found[name]["p50"] = 1e3 * statistics.median(taken)
    return found


def _prepared(
    card: Card, shape: tuple[int, int], found: Mapping[str, dict[str, Any]]
) -> tuple[dict[str, Callable[[], Vectors]], dict[str, list[Vectors]]]:
    """The call of each way, and its vectors of a first batch and of a second; in ``found`` what went wrong."""
    feed = card.feed(shape)
    calls: dict[str, Callable[[], Vectors]] = {}
    given: dict[str, list[Vectors]] = {name: [] for name in WAYS}
    for name, way in WAYS.items():
        with _told_in(found[name]):
            began = time.perf_counter()
            calls[name] = way(card, feed)
            given[name].append(calls[name]())
            found[name]["first_milliseconds"] = 1e3 * (time.perf_counter() - began)
    for name, array in card.feed(shape, seed=1).items():
        feed[name][...] = array
    for name, call in calls.items():
        if name not in _FIXED and "reason" not in found[name]:
            with _told_in(found[name]):
                given[name].append(call())
    return calls, given


@contextmanager
def _told_in(entry: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001  whatever a way fails with is what there is to say of it
        entry["reason"] = first_line(error)


def _compared(given: Sequence[Vectors], right: Sequence[Vectors]) -> dict[str, Any]:
    """The largest difference of the vectors of each batch; where that is too much, or none can be told, the reason too."""
    if len(right) < len(given) or not all(np.isfinite(vectors).all() for vectors in right):
        return {"reason": "run gave no vectors to compare with"}
    if any(vectors.shape != other.shape for vectors, other in zip(given, right)):
        return {"reason": f"its vectors have the shape {given[0].shape}, those of run {right[0].shape}"}
    if not all(np.isfinite(vectors).all() for vectors in given):
        return {"reason": "some of its vectors are not finite"}
    furthest = max(float(np.abs(vectors - other).max()) for vectors, other in zip(given, right))
    reason = {} if furthest <= _CLOSE else {"reason": f"its vectors differ from those of run by {furthest:.1e}"}
    return {"largest_difference": furthest, **reason}


def _in_turns(
    calls: Mapping[str, Callable[[], object]], seconds: float, found: Mapping[str, dict[str, Any]]
) -> dict[str, list[float]]:
    """Seconds of each call; one that fails on the way gets its reason in ``found``."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(_ROUNDS):
        for name, call in calls.items():
            if "reason" in found[name]:
                continue
            with _told_in(found[name]):
                call()
                until = time.perf_counter() + seconds
                while (began := time.perf_counter()) < until:
                    call()
                    times[name].append(time.perf_counter() - began)
    return times


def _binding(session: Any) -> tuple[Any, Callable[[], None]]:
    binding = session.io_binding()

    def run() -> None:
        binding.synchronize_inputs()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return binding, run


def _first(outputs: Sequence[Vectors]) -> Vectors:
    return outputs[0]


def lines_of_ways(ways: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """A row a way, a column a shape, milliseconds or why there are none; in Markdown."""
    rows = [f"| way | {' | '.join(ways)} |", "|---|" + "---|" * len(ways)]
    for name in WAYS:
        cells = [f"{one[name]['p50']:.2f}" if "p50" in one[name] else one[name]["reason"] for one in ways.values()]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows
