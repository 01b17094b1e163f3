"""Stage 1: a checkpoint, read, and refused with a sentence where it cannot be what it says.

``loading.py`` tells the story: which kind it is (``kind_of.py``), which route is meant (``routes.py``), what its files contradict
(``soundness.py``, ``weights.py``), and why a library fails on it (``diagnosis.py``).
"""
