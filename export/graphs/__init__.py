"""What every pass over a graph needs: the values it meets (``values.py``), and order behind it (``tidy.py``)."""
