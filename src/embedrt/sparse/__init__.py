"""Weights of terms: encoded (``encoding.py``), as compressed rows (``vectors.py``), compared, and in the form of databases."""
