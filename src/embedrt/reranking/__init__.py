"""Pairs of texts to scores (``scoring.py``), scores to what callers ask for (``activations.py``), documents in their order."""
