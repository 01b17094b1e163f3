"""What this processor could do at the most: matrix products measured, in theory, and the clock that it really runs at."""
