"""Where labels go, so that none lies on another. Pure geometry, in points (1/72 inch)."""

from collections.abc import Iterator, Sequence

__all__ = ["Box", "place", "spread"]

Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""


def spread(wanted: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """Places as near as possible to the ``wanted`` ones, in the same order, ``gap`` apart, from ``low`` to ``high``.

    Least squares: runs of labels that would overlap are centered on the mean of their places.

    >>> spread([10, 11, 40], gap=6, low=0, high=50)
    [7.5, 13.5, 40.0]
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    blocks: list[tuple[float, int]] = []  # mean of the members' places, each less its predecessors' gaps; and how many
    for rank, index in enumerate(order):
        mean, count = wanted[index] - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, members = blocks.pop()
            mean = (mean * count + before * members) / (count + members)
            count += members
        blocks.append((mean, count))
    means = [mean for mean, count in blocks for _ in range(count)]
    top = max(low, high - gap * (len(wanted) - 1))
    placed = [0.0] * len(wanted)
    for rank, (index, mean) in enumerate(zip(order, means, strict=True)):
        placed[index] = float(min(max(mean, low), top) + rank * gap)
    return placed


def place(point: tuple[float, float], size: tuple[float, float], taken: Sequence[Box], inside: Box) -> Box:
    """The free box of ``size`` nearest to ``point``; the first one tried where none is free."""
    boxes = list(_candidates(point, size))
    free = (box for box in boxes if _within(box, inside) and not any(_overlap(box, other) for other in taken))
    return next(free, boxes[0])


def _candidates(point: tuple[float, float], size: tuple[float, float]) -> Iterator[Box]:
    (x, y), (width, height) = point, size
    beside = 7.0
    for step in range(60):
        rise = (step + 1) // 2 * height / 2 * (1 if step % 2 else -1)
        for left in (x + beside, x - beside - width, *((x - width / 2,) if abs(rise) >= height else ())):
            yield (left, y + rise - height / 2, left + width, y + rise + height / 2)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _within(box: Box, outer: Box) -> bool:
    return box[0] >= outer[0] and box[1] >= outer[1] and box[2] <= outer[2] and box[3] <= outer[3]
