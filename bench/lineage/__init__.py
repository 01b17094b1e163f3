"""The table that teaches: one checkpoint pooled, whitened, distilled and taken apart, each system's quality beside its speed."""
