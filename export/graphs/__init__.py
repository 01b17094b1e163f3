"""What passes over a graph need: the values it meets (``values.py``), order behind it (``tidy.py``); runs (``running.py``)."""
