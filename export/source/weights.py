"""Whether all weights came from the checkpoint: transformers fills up what is missing with random numbers, and goes on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel

from embedrt.errors import CheckpointError

__all__ = ["LoadingReport", "require_weights", "watched_loading"]

_IMAGES = ("vision_model.", "visual_projection.", "logit_scale")
_UNREAD = {
    "dense": ("pooler.", "lm_head.", "cls.", *_IMAGES),
    "hybrid": ("pooler.", "lm_head.", "cls.", *_IMAGES),
    "multi-vector": ("pooler.", "lm_head.", "cls.", *_IMAGES),
    "sparse": ("pooler.", *_IMAGES),
    "cross-encoder": _IMAGES,
}
"""Weights that nothing depends on which a kind of model gives: heads, and the side that reads images."""
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


@dataclass(frozen=True, slots=True)
class LoadingReport:
    """What transformers found when it loaded one model."""

    kind: str
    """The class of the model."""
    missing: tuple[str, ...]
    """Weights that the class has and the file has not."""
    unexpected: tuple[str, ...]
    """Weights that the file has and the class has not."""
    misshapen: tuple[tuple[str, list[int], list[int]], ...]
    """Weights of another shape: the name, the shape in the file, and that of the class."""
    known: frozenset[str]
    """All weights of the class."""


@contextmanager
def watched_loading() -> Iterator[list[LoadingReport]]:
    """Within the block every loaded transformers model leaves a report in the list."""
    reports: list[LoadingReport] = []
    original = PreTrainedModel.__dict__["from_pretrained"]

    def watching(
        kind: type[PreTrainedModel], /, *arguments: Any, output_loading_info: bool = False, **options: Any
    ) -> Any:
        options["ignore_mismatched_sizes"] = True  # they are refused here, with their names
        model, found = original.__get__(None, kind)(*arguments, output_loading_info=True, **options)
        missing, unexpected = (tuple(sorted(found[key])) for key in ("missing_keys", "unexpected_keys"))
        misshapen = tuple((name, list(had), list(has)) for name, had, has in sorted(found["mismatched_keys"]))
        reports.append(LoadingReport(kind.__name__, missing, unexpected, misshapen, frozenset(model.state_dict())))
        return (model, found) if output_loading_info else model

    PreTrainedModel.from_pretrained = classmethod(watching)
    try:
        yield reports
    finally:
        PreTrainedModel.from_pretrained = original


def require_weights(reports: list[LoadingReport], kind: str = "dense") -> None:
    """Refuse a checkpoint that lacks weights, has some of another shape, or has layers that its config.json does not count.

    Raises:
        CheckpointError: naming the first such weight.
    """
    for report in reports:
        if report.misshapen:
            name, had, has = report.misshapen[0]
            raise CheckpointError(
                f"the checkpoint's weights hold {name} of shape {had}, but {report.kind} of its config.json has {has}: "
                "one of the two is of another model"
            )
        if missing := [name for name in report.missing if not name.startswith(_UNREAD[kind])]:
            raise CheckpointError(
                f"the checkpoint's weights lack {missing[0]}"
                f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}, which {report.kind} of its config.json has: "
                "is the file cut, or of another model? Download the checkpoint again"
            )
        others = _other_towers(report)
        own = [name for name in report.unexpected if name.partition(".")[0] not in others]
        if further := [name for name in own if _is_a_further_layer(name, report.known)]:
            raise CheckpointError(
                f"the checkpoint's weights hold {further[0]}, a layer more than its config.json counts: "
                "set the number of layers there to that of the weights"
            )


def _other_towers(report: LoadingReport) -> set[str]:
    """First parts of unexpected names that repeat weights of the class under another name, as a decoder does."""
    tails = report.known | {name.partition(".")[2] for name in report.known}
    parts = (name.partition(".") for name in report.unexpected)
    return {first for first, _, rest in parts if rest in tails}


def _is_a_further_layer(name: str, known: frozenset[str]) -> bool:
    """Whether a weight is one that the class has too, but for the number of the layer."""
    pattern = re.compile(
        r"(?:.*\.)?" + r"\d+".join(re.escape(part) for part in _NUMBER.split(_without_prefix(name, known)))
    )
    return bool(_NUMBER.search(name)) and any(pattern.fullmatch(other) for other in known)


def _without_prefix(name: str, known: frozenset[str]) -> str:
    """``name`` without the first part, where no known name begins with that: files of a model with a head have one more."""
    first, _, rest = name.partition(".")
    return name if any(other.startswith(f"{first}.") for other in known) else rest
