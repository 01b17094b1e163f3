"""What changed between two results, beyond noise.

The rule. A figure with runs in both results has changed if the ranges of their runs do not overlap and the medians differ by
more than 3 %. A figure that was taken once has changed if it differs by more than its tolerance: 10 % for tail latencies,
server rates, the larger model and shares of the peak, 5 % for memory, 0.1 % for sizes on disk, 0.02 % for mean cosines, 0.2 %
for smallest cosines, 0.05 % for STS scores (:mod:`embedrt_bench.report.measures`).

Where machines, settings or versions differ, times are no longer comparable. What then is compared is each figure's ratio to
that of sentence-transformers float32 in the same run, round by round; without it in both results, times are left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from embedrt_bench.report.measures import Measure, Value, by_key
from embedrt_bench.report.names import REFERENCE

__all__ = ["Change", "Comparison", "as_json", "beyond_noise", "compare"]

_MACHINE = ("cpu", "cpu_family_model", "instructions", "processors", "threads", "governor", "system")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One figure of one engine in both results."""

    key: str
    title: str
    engine: str
    unit: str
    """Empty for what has none; ``× sentence-transformers float32`` where ratios are compared."""
    before: float
    after: float
    ratio: float | None
    """After over before; None where that was 0."""
    beyond_noise: bool
    better: bool
    """Whether the figure moved the right way, by however little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two results, figure by figure."""

    warnings: tuple[str, ...]
    relative: bool
    """Whether times were compared as ratios to sentence-transformers."""
    changes: tuple[Change, ...]
    only_before: tuple[str, ...]
    """``engine: figure`` that the second result lacks."""
    only_after: tuple[str, ...]


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """Every figure that both results have, and what differs between them beside figures."""
    warnings = list(_differences(before, after))
    old, new = by_key(before), by_key(after)
    both = [key for key in old if key in new]
    if relative := bool(warnings):
        missing = [
            key for key in both if old[key].timed and not (_has_reference(old[key]) and _has_reference(new[key]))
        ]
        if missing:
            warnings.append(f"{REFERENCE} was not measured in both, so these were not compared: {', '.join(missing)}")
        both = [key for key in both if key not in missing]
    pairs = [(_relative(old[key]), _relative(new[key])) if relative else (old[key], new[key]) for key in both]
    changes = [_change(one, other, name) for one, other in pairs for name in one.values if name in other.values]
    return Comparison(
        warnings=tuple(warnings),
        relative=relative,
        changes=tuple(changes),
        only_before=tuple(_alone(old, new)),
        only_after=tuple(_alone(new, old)),
    )  # fmt: skip


def beyond_noise(before: Value, after: Value, tolerance: float) -> bool:
    """The rule of this module's docstring.

    >>> beyond_noise(Value(median=10, runs=(9, 10, 11)), Value(median=12, runs=(10.5, 12, 13)), 0.03)
    False
    """
    if abs(after.median - before.median) <= tolerance * abs(before.median):
        return False
    if len(before.runs) > 1 and len(after.runs) > 1:
        return max(before.runs) < min(after.runs) or max(after.runs) < min(before.runs)
    return True


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison for programs."""
    return asdict(comparison)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each kind of thing that makes times of two results incomparable."""
    machines, settings = (before["machine"], after["machine"]), (before["settings"], after["settings"])
    packages = machines[0]["packages"], machines[1]["packages"]
    kinds = {
        "machines": _differing(*machines, names=_MACHINE),
        "versions": _differing(*packages, names=dict.fromkeys([*packages[0], *packages[1]])),
        "settings": _differing(*settings, names=dict.fromkeys([*settings[0], *settings[1]])),
    }
    for kind, differing in kinds.items():
        if differing:
            yield f"the {kind} differ: {'; '.join(differing)}"


def _differing(one: Mapping[str, Any], other: Mapping[str, Any], *, names: Any) -> list[str]:
    return [f"{name} {one.get(name)} → {other.get(name)}" for name in names if one.get(name) != other.get(name)]


def _has_reference(measure: Measure) -> bool:
    return REFERENCE in measure.values and measure.values[REFERENCE].median > 0  # a server may hold no rate at all


def _relative(measure: Measure) -> Measure:
    """A timed measure with each figure over the reference's: run by run where both took turns, else over its median."""
    if not measure.timed:
        return measure
    reference = measure.values[REFERENCE]

    def over(value: Value) -> Value:
        paired = reference.runs if len(reference.runs) == len(value.runs) else [reference.median] * len(value.runs)
        runs = tuple(run / other for run, other in zip(value.runs, paired, strict=True))
        return Value(median=value.median / reference.median, runs=runs)

    return Measure(
        key=measure.key,
        title=measure.title,
        unit=f"× {REFERENCE}",
        more_is_better=measure.more_is_better,
        tolerance=measure.tolerance,
        timed=True,
        values={name: over(value) for name, value in measure.values.items() if name != REFERENCE},
    )


def _change(before: Measure, after: Measure, name: str) -> Change:
    old, new = before.values[name], after.values[name]
    return Change(
        key=before.key,
        title=before.title,
        engine=name,
        unit=before.unit,
        before=old.median,
        after=new.median,
        ratio=new.median / old.median if old.median else None,
        beyond_noise=beyond_noise(old, new, before.tolerance),
        better=(new.median > old.median) == before.more_is_better and new.median != old.median,
    )


def _alone(one: Mapping[str, Measure], other: Mapping[str, Measure]) -> Iterator[str]:
    for key, measure in one.items():
        for name in measure.values:
            if key not in other or name not in other[key].values:
                yield f"{name}: {measure.title}"
