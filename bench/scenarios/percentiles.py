"""Percentiles, by nearest rank as MLPerf's load generator takes them: p99 is a time that 99 of 100 really stay within.

A value between two ranks would let 98.3 of 100 pass as 99, and let one pause of a second decide over 100 requests.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["FEWEST", "percentile"]

FEWEST = 100
"""Times that a p99 is taken of, at least: of fewer it says nothing."""


def percentile(values: Sequence[float], point: int) -> float:
    """The smallest of ``values`` that ``point`` percent of them do not exceed.

    >>> percentile([*range(1, 101)], 99), percentile([*range(1, 121)], 99)
    (99.0, 119.0)
    """
    return float(np.percentile(values, point, method="inverted_cdf"))
