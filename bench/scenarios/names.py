"""What a run can measure, by the names of its result's sections."""

__all__ = ["SCENARIOS"]

SCENARIOS = (
    "quality",
    "sts",
    "offline",
    "single_stream",
    "server",
    "cold_start",
    "soak",
    "sizes",
    "roofline",
    "profile",
    "bert_zh",
    "jobs",
)
"""In the order in which they run. ``sts`` is no section: it adds the scores on all STS sets to ``quality``."""
