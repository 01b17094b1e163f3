"""The same artifact on a GPU, beside sentence-transformers on PyTorch: ``run.py`` is the story."""
