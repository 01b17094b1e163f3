"""What is changed of a loaded checkpoint before it is traced, because the user asked for it.

A change is a file: checkpoint in, checkpoint and facts out. Their order is that of :func:`changed`: the vocabulary first, so that
a smaller one is distilled; whitening last, since it is of the vectors that are served.
"""

from embedrt_export.changes.story import changed, changed_again
from embedrt_export.changes.wanted import Changes

__all__ = ["Changes", "changed", "changed_again"]
